"""Calls counted -> how the calls of an MSP's connections spread over time and over endpoints, and what a poll put off."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from domain.events import PollCompleted
from domain.keys import ConnectionId, MspId

_TOLD = """reporting.api_calls WHERE msp_id = :msp_id AND since >= :since
    AND generation = (SELECT reporting.living_generation('calls', :msp_id))"""
_BY_TIME = f"""
SELECT connection_id, to_timestamp(floor(extract(epoch FROM since) / :step) * :step) AS at, sum(calls)::bigint AS calls
FROM {_TOLD} GROUP BY 1, 2 ORDER BY 1, 2
"""
# A stretch has told its own times only: of the stretches' values, each weighed by its calls, the one in the middle and the one
# that 95 % stand below.
_BY_ENDPOINT = f"""
WITH weighed AS (
    SELECT *, sum(calls) OVER (each ORDER BY p50_milliseconds, position) AS upto_p50,
        sum(calls) OVER (each ORDER BY p95_milliseconds, position) AS upto_p95, sum(calls) OVER each AS of_all
    FROM {_TOLD} WINDOW each AS (PARTITION BY connection_id, endpoint)
)
SELECT connection_id, endpoint AS name, sum(calls)::bigint AS calls, sum(failed)::bigint AS errors,
    sum(limited)::bigint AS limited, min(p50_milliseconds) FILTER (WHERE upto_p50 >= 0.5 * of_all) AS p50,
    min(p95_milliseconds) FILTER (WHERE upto_p95 >= 0.95 * of_all) AS p95, max(slowest_milliseconds) AS slowest
FROM weighed GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2
"""


def calls_by_time(connection: Connection, msp_id: MspId, since: datetime, step: int) -> list[dict[str, Any]]:
    """{connection_id, at, calls} for each step (seconds) in which calls began to be counted, by connection and time."""
    return _rows(connection, _BY_TIME, {"msp_id": msp_id, "since": since, "step": step})


def calls_by_endpoint(connection: Connection, msp_id: MspId, since: datetime) -> list[dict[str, Any]]:
    """{connection_id, name, calls, errors, limited, p50, p95, slowest} by connection, the most called endpoint first.
    Times are whole milliseconds."""
    return _rows(connection, _BY_ENDPOINT, {"msp_id": msp_id, "since": since})


def put_off(connection: Connection, msp_id: MspId, connection_id: ConnectionId) -> int:
    """How many subscriptions the connection's last poll left for a later one; 0 when it failed, or there was none."""
    found = connection.scalar(
        text(
            """SELECT CASE WHEN type = :completed THEN (payload ->> 'subscriptions_put_off')::int END FROM log.events
               WHERE msp_id = :msp_id AND stream = :stream ORDER BY stream_version DESC LIMIT 1"""
        ),
        {"msp_id": msp_id, "stream": f"poll/{connection_id}", "completed": PollCompleted.type},
    )
    return found or 0


def _rows(connection: Connection, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(query), values).mappings()]
