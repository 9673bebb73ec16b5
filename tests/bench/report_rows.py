"""A database, how many rows -> an MSP whose adjustment log has so many, as if a year of them had been folded; made by SQL alone."""

from sqlalchemy import text

from plumbing.database import make_engine
from tests.bench.append import MSP
from tests.msps import add_msp

_FILL = """
INSERT INTO reporting.adjustments
SELECT 'bench', 0, n, 'request-' || n, 'operation-' || n, 'odin', (1200000000 + link / 30)::text,
    'Company ' || link / 30 || ' Ltd', (1000000 + link / 3)::text, 'Subscription ' || link / 3, (100000 + link)::text,
    (ARRAY['Exchange Online (Plan 1)', '=Microsoft 365 Business', 'Acronis Cyber Protect – Größe 100 GB'])[1 + link % 3],
    'autotask', (29000000 + link / 30)::text, 'Company ' || link / 30 || ' Ltd', (29600000 + link / 3)::text,
    'Cloud services ' || link / 3, (1000 + link)::text, 'Product ' || link,
    '2026-01-01Z'::timestamptz + n * interval '30 s', '2026-01-01'::date + n / 3000, n % 9 - 4, 10, 6 + n % 9,
    3.4, 'USD', 3.4, 'USD', n % 500 / 10.0, 'USD', NULL, NULL, 'read back', 1, true
FROM (SELECT n, CAST(n AS bigint) * 7919 % 20000 AS link FROM generate_series(1, :rows) AS n) AS each
"""
_EVENT = """
INSERT INTO log.events (msp_id, position, stream, stream_version, type, version, payload, occurred_at, recorded_at,
                        correlation_id, recorded_by, actor)
VALUES ('bench', :rows, 'policy', 1, 'PolicyChanged', 1, '{}', now(), now(), 'c', 'bench', 'bench')
"""

_STAND = (
    "UPDATE log.heads SET position = :rows",
    "INSERT INTO reporting.positions VALUES ('reporting.adjustments', 'bench', :rows)",
)


def fill_adjustments(url: str, rows: int) -> None:
    """The MSP, its rows, and the newest event, where the read model stands."""
    engine = make_engine(url, "bench", statement_seconds=600)
    add_msp(engine, MSP)
    with engine.begin() as connection:
        for statement in (_FILL, _EVENT, *_STAND):
            connection.execute(text(statement), {"rows": rows})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE reporting.adjustments")
    engine.dispose()
