"""An MSP -> its pulse: what the house does for it at this moment, how far everything is, what waits and what is wrong."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from domain.events import PostingPaused
from domain.keys import MspId
from domain.policies import POLICIES
from plumbing.pausing import STREAM


class Phase(StrEnum):
    """What the house does. Of several that hold at once the first of these is told, and SHADOW in place of IDLE."""

    PAUSED = "paused"
    FAILING = "failing"
    SYNCING = "syncing"
    POSTING = "posting"
    IDLE = "idle"
    SHADOW = "shadow"


# One statement, and each part of it is found by an index: it is looked at often.
# Of poller.connections the gateway may read what is asked for here, and no more.
_PULSE = """
WITH msp AS (
    SELECT h.msp_id, h.position AS head, m.time_zone FROM log.heads h JOIN setup.msps m USING (msp_id) WHERE h.msp_id = :msp_id
)
SELECT msp.head, msp.time_zone,
    (SELECT recorded_at FROM log.events e WHERE e.msp_id = msp.msp_id AND e.position = msp.head) AS recorded_at,
    c.consumers, b.held, f.failed, b.shadowed, b.mode,
    p.polling, p.done, p.chosen, p.next_poll_at, l.last_poll, s.psa_read_at, w.paused,
    least(f.failing_since, c.stopped_at) AS failing_since,
    (SELECT count(*) FROM reporting.requests r WHERE r.msp_id = msp.msp_id AND r.state = 'open'
        AND r.generation = (SELECT reporting.living_generation('adjustments', :msp_id))) AS open
FROM msp
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(jsonb_build_object('name', p.consumer, 'position', p.position,
        'lag', msp.head - p.position, 'stopped_at', p.stopped_at, 'stopped_reason', p.stopped_reason)
        ORDER BY p.consumer), '[]') AS consumers, min(p.stopped_at) AS stopped_at
    FROM reporting.positions p WHERE p.msp_id = msp.msp_id AND position('@' IN p.consumer) = 0
) c
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE f.state IN ('open', 'parked')) AS failed,
        min(f.first_failed_at) FILTER (WHERE f.kind IN ('unreachable', 'unauthorised')
            OR (f.request_id IS NULL AND f.psa_product_id IS NULL)) AS failing_since
    FROM reporting.failures f WHERE f.msp_id = msp.msp_id AND f.state <> 'closed' AND f.attempts > 0
        AND f.generation = (SELECT reporting.living_generation('failures', :msp_id))
) f
CROSS JOIN LATERAL (
    SELECT (SELECT count(*) FROM reporting.held_requests h WHERE h.msp_id = msp.msp_id AND h.state = 'held'
            AND h.generation = (SELECT reporting.living_generation('held', :msp_id))) AS held,
        (SELECT count(*) FROM reporting.shadowed_requests h WHERE h.msp_id = msp.msp_id AND h.state = 'would_post'
            AND h.generation = (SELECT reporting.living_generation('held', :msp_id))) AS shadowed,
        (SELECT value FROM setup.policies o WHERE o.msp_id = msp.msp_id AND o.policy = 'mode'
            AND o.company_id IS NULL AND o.resource_id IS NULL) AS mode
) b
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE v.held_until > :now) AS polling,
        sum(v.reads_done) FILTER (WHERE v.held_until > :now)::int AS done,
        sum(v.reads_chosen) FILTER (WHERE v.held_until > :now)::int AS chosen,
        min(v.next_poll_at) FILTER (WHERE v.stopped_version IS DISTINCT FROM o.version) AS next_poll_at
    FROM setup.connections o JOIN poller.connections v USING (msp_id, connection_id)
    WHERE o.msp_id = msp.msp_id AND o.kind = 'odin'
) p
LEFT JOIN LATERAL (
    SELECT jsonb_build_object('completed_at', l.completed_at, 'complete', l.complete,
        'subscriptions', l.subscriptions, 'changes', l.changes) AS last_poll
    FROM reporting.last_polls l WHERE l.msp_id = msp.msp_id
        AND l.generation = (SELECT reporting.living_generation('readings', :msp_id))
    ORDER BY l.completed_at DESC, l.connection_id LIMIT 1
) l ON true
CROSS JOIN LATERAL (
    SELECT CASE WHEN count(*) = count(each.read_at) THEN min(each.read_at) END AS psa_read_at FROM (
        SELECT greatest(r.read_at, (
            SELECT a.since + make_interval(secs => a.seconds) FROM reporting.api_calls a
            WHERE a.msp_id = msp.msp_id AND a.generation = (SELECT reporting.living_generation('calls', :msp_id))
                AND a.connection_id = o.connection_id AND a.calls > a.failed
            ORDER BY a.position DESC LIMIT 1)) AS read_at
        FROM setup.connections o LEFT JOIN reporting.readings r ON r.msp_id = o.msp_id
            AND r.connection_id = o.connection_id AND r.generation = (SELECT reporting.living_generation('readings', :msp_id))
        WHERE o.msp_id = msp.msp_id AND o.kind <> 'odin'
    ) each
) s
LEFT JOIN LATERAL (
    SELECT CASE WHEN e.type = :pausing THEN jsonb_build_object('by', e.actor, 'at', e.occurred_at,
        'reason', e.payload ->> 'reason') END AS paused
    FROM log.events e WHERE e.msp_id = msp.msp_id AND e.stream = :posting ORDER BY e.stream_version DESC LIMIT 1
) w ON true
"""


def pulse(connection: Connection, msp_id: MspId, now: datetime) -> dict[str, Any] | None:
    """{phase, done, of, head, recorded_at, time_zone, consumers, next_poll_at, last_poll, psa_read_at, open, held, failed,
    failing_since, paused, mode}; None: no such MSP. Counts are whole numbers; moments inside last_poll, paused and consumers are
    texts."""
    found = connection.execute(
        text(_PULSE), {"msp_id": msp_id, "now": now, "pausing": PostingPaused.type, "posting": STREAM}
    ).first()
    if found is None:
        return None
    beat = dict(found._mapping)
    polling, done, chosen, shadowed, mode = (
        beat.pop(name) for name in ("polling", "done", "chosen", "shadowed", "mode")
    )
    # What is neither held, nor only shown, nor tried again after a failure is on its way.
    under_way = max(0, beat["open"] - beat["held"] - beat["failed"] - shadowed)
    phase = _phase(beat, polling, under_way)
    if phase is Phase.IDLE and mode == "shadow":
        phase = Phase.SHADOW
    beat["mode"] = mode or POLICIES["mode"].default
    told = {Phase.SYNCING: (done, chosen), Phase.POSTING: (None, under_way)}
    done, of = told.get(phase, (None, None))
    return {"phase": phase.value, "done": done, "of": of, **beat}


def _phase(beat: dict[str, Any], polling: int, under_way: int) -> Phase:
    if beat["paused"] is not None:
        return Phase.PAUSED
    if beat["failing_since"] is not None:
        return Phase.FAILING
    if polling:
        return Phase.SYNCING
    return Phase.POSTING if under_way else Phase.IDLE
