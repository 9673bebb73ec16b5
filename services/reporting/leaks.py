"""An MSP, its last days -> how much was not billed and how much was billed too much, as it stood at the end of each day."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, text

from domain.keys import MspId

# A range counts on the days at whose end it held: from the day it began until before the day it ended. Ranges are summed by
# these days first, so the days meet a few hundred sums, however many resources there are. The view: see finding.py.
_NOT_BILLED = """
WITH spans AS (
    SELECT c.unit_price_currency AS currency, greatest((c.valid_from AT TIME ZONE :zone)::date, :first) AS from_day,
        (c.valid_to AT TIME ZONE :zone)::date AS to_day, sum(round(c.count * c.unit_price / s.billing_months, 2)) AS amount
    FROM reporting.named_counts c JOIN reporting.subscriptions s ON s.msp_id = c.msp_id
        AND s.generation = (SELECT reporting.living_generation('resources', :msp_id))
        AND s.connection_id = c.connection_id AND s.subscription_id = c.subscription_id
    WHERE c.msp_id = :msp_id AND c.generation = (SELECT reporting.living_generation('counts', :msp_id))
        AND c.relation_id IS NULL AND c.status = 'active' AND NOT c.excluded
        AND coalesce(c.valid_to, 'infinity') >= CAST(:first AS date)::timestamp AT TIME ZONE :zone
    GROUP BY 1, 2, 3
)
SELECT d.day::date AS day, currency, sum(amount) AS amount
FROM spans JOIN generate_series(CAST(:first AS date), CAST(:last AS date), interval '1 day') AS d (day)
    ON d.day >= from_day AND (to_day IS NULL OR d.day < to_day)
WHERE amount IS NOT NULL GROUP BY 1, 2
"""
# An excess holds until the product was next read, or a post of ours that was in force at once was read back.
_OVER_BILLED = """
SELECT d.day::date AS day, p.unit_price_currency AS currency,
    sum(round(x.excess * p.unit_price / CASE p.period_type
        WHEN 'monthly' THEN 1.0 WHEN 'quarterly' THEN 3.0 WHEN 'half_yearly' THEN 6.0 WHEN 'yearly' THEN 12.0 END, 2)) AS amount
FROM reporting.excesses x
JOIN reporting.fed_products f ON f.msp_id = x.msp_id AND f.generation = (SELECT reporting.living_generation('failures', :msp_id))
    AND f.psa_connection_id = x.psa_connection_id AND f.psa_product_id = x.psa_product_id AND f.live_relations > 0
JOIN reporting.psa_products p ON p.msp_id = x.msp_id AND p.generation = (SELECT reporting.living_generation('psa', :msp_id))
    AND p.psa_connection_id = x.psa_connection_id AND p.psa_product_id = x.psa_product_id
LEFT JOIN LATERAL (
    SELECT (l.told_at AT TIME ZONE :zone)::date AS day FROM reporting.ledger l
    WHERE l.msp_id = x.msp_id AND l.generation = x.generation AND l.psa_connection_id = x.psa_connection_id
        AND l.psa_product_id = x.psa_product_id AND l.position > x.position
        AND (l.kind = 'read' OR l.on_date <= (l.told_at AT TIME ZONE :zone)::date)
    ORDER BY l.position LIMIT 1
) n ON true
JOIN generate_series(CAST(:first AS date), CAST(:last AS date), interval '1 day') AS d (day)
    ON d.day >= (x.told_at AT TIME ZONE :zone)::date AND (n.day IS NULL OR d.day < n.day)
WHERE x.msp_id = :msp_id AND x.generation = (SELECT reporting.living_generation('ledger', :msp_id))
    AND p.unit_price IS NOT NULL AND (CAST(:psa AS text[]) IS NULL OR x.psa_connection_id = ANY(CAST(:psa AS text[])))
GROUP BY 1, 2
"""


def leak_trend(
    connection: Connection, msp_id: MspId, time_zone: str, today: date, days: int, psa: Sequence[str] | None
) -> list[dict[str, Any]]:
    """{date, not_billed, over_billed} of so many days up to today, the oldest first; money as {amount, currency} of one
    month, one a currency, today as it stands now. psa: the PSA connections whose products may be billed too much; None: all."""
    first = today - timedelta(days=days - 1)
    values = {"msp_id": msp_id, "zone": time_zone, "first": first, "last": today}
    not_billed = _by_day(connection, _NOT_BILLED, values)
    over_billed = _by_day(connection, _OVER_BILLED, values | {"psa": None if psa is None else list(psa)})
    every = [first + timedelta(days=n) for n in range(days)]
    return [{"date": d, "not_billed": not_billed.get(d, []), "over_billed": over_billed.get(d, [])} for d in every]


def _by_day(connection: Connection, query: str, values: dict[str, Any]) -> dict[date, list[dict[str, Any]]]:
    found: dict[date, list[dict[str, Any]]] = {}
    for row in connection.execute(
        text(f"SELECT * FROM ({query}) sums WHERE amount IS NOT NULL ORDER BY day, currency"), values
    ):
        found.setdefault(row.day, []).append({"amount": row.amount, "currency": row.currency})
    return found
