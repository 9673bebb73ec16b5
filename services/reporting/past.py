"""(resources, a moment) -> what each counted, cost and was linked to then: one step into an index for each of them."""

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
