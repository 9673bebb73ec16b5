"""(resources, a moment) -> what each counted, cost and was linked to then, or has counted since: a step into an index for each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from domain.keys import MspId

_THEN = """
SELECT c.resource_key, c.valid_from, c.valid_to, c.status, c.count, c.unit_cost, c.unit_cost_currency, c.unit_price,
    c.unit_price_currency, c.relation_id, c.psa_connection_id, c.psa_product_id
FROM unnest(CAST(:keys AS text[])) AS asked (resource_key)
CROSS JOIN LATERAL (
    SELECT * FROM reporting.counts c
    WHERE c.msp_id = :msp_id AND c.resource_key = asked.resource_key COLLATE "C" AND c.valid_from <= :at
        AND c.generation = (SELECT reporting.living_generation('counts', :msp_id))
    ORDER BY c.from_position DESC LIMIT 1
) c
"""


def counts_at(
    connection: Connection, msp_id: MspId, resource_keys: Sequence[str], at: datetime
) -> dict[str, dict[str, Any]]:
    """{resource key: its row of reporting.counts that held at the moment}; those that were not known then are missing.
    count is in licences, unit_cost and unit_price are for one unit and billing period."""
    found = connection.execute(text(_THEN), {"msp_id": msp_id, "keys": list(resource_keys), "at": at}).mappings()
    return {row["resource_key"]: dict(row) for row in found}


# Ranges that are asked for at most: a count seldom changes more than once a day.
_MOST_RANGES = 2_000
_SINCE = """
SELECT c.valid_from, c.valid_to, c.count FROM reporting.counts c
WHERE c.msp_id = :msp_id AND c.resource_key = CAST(:key AS text) COLLATE "C"
    AND c.generation = (SELECT reporting.living_generation('counts', :msp_id))
    AND (c.valid_to IS NULL OR (c.valid_to > :since AND c.valid_to > c.valid_from))
ORDER BY c.from_position DESC LIMIT :most
"""


def counts_since(connection: Connection, msp_id: MspId, resource_key: str, since: datetime) -> list[dict[str, Any]]:
    """{valid_from, valid_to, count} of the resource since the moment, newest first, one row for each stretch in which the
    count was the same; empty for a resource that is not known."""
    values = {"msp_id": msp_id, "key": resource_key, "since": since, "most": _MOST_RANGES}
    found: list[dict[str, Any]] = []
    for row in connection.execute(text(_SINCE), values).mappings():
        if found and found[-1]["count"] == row["count"] and found[-1]["valid_from"] == row["valid_to"]:
            found[-1]["valid_from"] = row["valid_from"]
        else:
            found.append(dict(row))
    return found
