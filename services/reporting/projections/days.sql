-- What happened on each day of the MSP's time zone, summed by connection and currency ('' where no money is known). Each event adds
-- to the sums of its day, so rows do not depend on how the log was cut. An adjustment counts in the currency of its price.
WITH told AS (
    SELECT type, (occurred_at AT TIME ZONE z.time_zone)::date AS day,
        coalesce(payload ->> 'psa_connection_id', payload ->> 'connection_id') AS connection_id,
        (payload ->> 'unit_change')::numeric AS unit_change,
        (payload -> 'prorated_cost' ->> 'amount')::numeric AS cost, payload -> 'prorated_cost' ->> 'currency' AS cost_currency,
        (payload -> 'prorated_price' ->> 'amount')::numeric AS price, payload -> 'prorated_price' ->> 'currency' AS price_currency
    FROM ({events}) e CROSS JOIN (SELECT time_zone FROM setup.msps WHERE msp_id = :msp_id) z
),
parts AS (
    SELECT connection_id, day, coalesce(price_currency, cost_currency, '') AS currency, (type = 'AdjustmentPosted')::int AS adjustments,
        greatest(unit_change, 0) AS up, greatest(-unit_change, 0) AS down,
        CASE WHEN cost_currency = coalesce(price_currency, cost_currency) THEN cost END AS cost, price,
        (type = 'ResourceCountChanged')::int AS changes, (type = 'ResourceDiscovered')::int AS found,
        (type = 'ResourceDisappeared')::int AS gone
    FROM told
    UNION ALL
    SELECT connection_id, day, cost_currency, 0, 0, 0, cost, NULL, 0, 0, 0 FROM told WHERE cost_currency <> price_currency
)
INSERT INTO reporting.days AS d ({days.columns})
SELECT :msp_id, :generation, connection_id, day, currency, sum(adjustments)::numeric, coalesce(sum(up), 0), coalesce(sum(down), 0),
    sum(cost), sum(price), sum(changes)::numeric, sum(found)::numeric, sum(gone)::numeric
FROM parts GROUP BY connection_id, day, currency
ON CONFLICT (msp_id, generation, connection_id, day, currency) DO UPDATE SET
    adjustments = d.adjustments + excluded.adjustments,
    units_up = d.units_up + excluded.units_up,
    units_down = d.units_down + excluded.units_down,
    prorated_cost = coalesce(d.prorated_cost + excluded.prorated_cost, d.prorated_cost, excluded.prorated_cost),
    prorated_price = coalesce(d.prorated_price + excluded.prorated_price, d.prorated_price, excluded.prorated_price),
    count_changes = d.count_changes + excluded.count_changes,
    resources_found = d.resources_found + excluded.resources_found,
    resources_gone = d.resources_gone + excluded.resources_gone
