"""The clock, and what is kept -> work in the queues: posts that are due, catalogues to be read again.

Every replica's timer asks; each connection's row is claimed by the update that puts its work, so that it is put once.
"""

from sqlalchemy import Engine, text

from domain.keys import ConnectionId, MspId
from plumbing.clock import Clock
from plumbing.logs import correlation_id
from plumbing.pausing import IS_PAUSED
from services.psa_writer.reactor import CATALOGUE, POSTS, put_work

_KNOW = """
INSERT INTO psa_writer.connections (msp_id, connection_id)
SELECT msp_id, connection_id FROM setup.connections WHERE kind = 'autotask' ON CONFLICT DO NOTHING
"""
# A connection is rung again only after a while: a round that is at work sees what comes due by itself. While a person has
# paused the MSP's posts only what was sent before is looked after.
_DUE_POSTS = f"""
WITH wanting AS (
    SELECT * FROM (
        SELECT DISTINCT msp_id, connection_id FROM psa_writer.requests
        WHERE state IN ('planned', 'waiting', 'parked', 'held') AND next_try_at <= :now
    ) c WHERE NOT {IS_PAUSED}
    UNION SELECT msp_id, connection_id FROM psa_writer.intents WHERE state = 'sent'
)
UPDATE psa_writer.connections c SET posts_rung_at = :now
FROM wanting w JOIN setup.connections s USING (msp_id, connection_id)
WHERE c.msp_id = w.msp_id AND c.connection_id = w.connection_id
AND (c.paused_until IS NULL OR c.paused_until <= :now) AND c.stopped_version IS DISTINCT FROM s.version
AND (c.posts_rung_at IS NULL OR c.posts_rung_at <= CAST(:now AS timestamptz) - interval '10 seconds')
RETURNING c.msp_id, c.connection_id
"""
_DUE_CATALOGUES = """
UPDATE psa_writer.connections c SET next_catalogue_at = CAST(:now AS timestamptz)
    + make_interval(secs => coalesce((s.settings ->> 'catalogue_seconds')::float, 3600))
FROM setup.connections s
WHERE s.kind = 'autotask' AND s.msp_id = c.msp_id AND s.connection_id = c.connection_id
AND (c.next_catalogue_at IS NULL OR c.next_catalogue_at <= :now) AND c.stopped_version IS DISTINCT FROM s.version
RETURNING c.msp_id, c.connection_id
"""


def put_due_work(engine: Engine, clock: Clock) -> int:
    """How many pieces of work were put: one for each connection with posts due, one for each catalogue due."""
    return _put(engine, clock, _DUE_POSTS, POSTS) + _put(engine, clock, _DUE_CATALOGUES, CATALOGUE)


def _put(engine: Engine, clock: Clock, query: str, queue: str) -> int:
    now = clock.now()
    with engine.begin() as connection:
        connection.execute(text(_KNOW))
        due = connection.execute(text(query), {"now": now}).all()
        for msp_id, connection_id in due:
            put_work(
                connection, queue, MspId(msp_id), [ConnectionId(connection_id)], now, correlation_id(), reason="due"
            )
    return len(due)
