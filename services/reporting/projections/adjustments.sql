-- The log of what was posted: one row an event.
INSERT INTO reporting.adjustments ({adjustments.columns})
SELECT :msp_id, :generation, position, payload ->> 'request_id', payload ->> 'operation_id',
    payload ->> 'connection_id', payload ->> 'company_id', payload ->> 'company_name',
    payload ->> 'subscription_id', payload ->> 'subscription_name', payload ->> 'resource_id', payload ->> 'resource_name',
    payload ->> 'psa_connection_id', payload ->> 'psa_customer_id', payload ->> 'psa_customer_name',
    payload ->> 'psa_agreement_id', payload ->> 'psa_agreement_name',
    payload ->> 'psa_product_id', payload ->> 'psa_product_name',
    occurred_at, (payload ->> 'effective_date')::date,
    (payload ->> 'unit_change')::integer, (payload ->> 'units_before')::integer, (payload ->> 'units_after')::integer,
    (payload -> 'unit_cost_before' ->> 'amount')::numeric, payload -> 'unit_cost_before' ->> 'currency',
    (payload -> 'unit_cost_after' ->> 'amount')::numeric, payload -> 'unit_cost_after' ->> 'currency',
    (payload -> 'prorated_cost' ->> 'amount')::numeric, payload -> 'prorated_cost' ->> 'currency',
    (payload -> 'prorated_price' ->> 'amount')::numeric, payload -> 'prorated_price' ->> 'currency',
    payload ->> 'proof', (payload ->> 'attempt')::integer, (payload ->> 'completes_request')::boolean,
    (payload -> 'unit_price_before' ->> 'amount')::numeric, payload -> 'unit_price_before' ->> 'currency',
    (payload -> 'unit_price_after' ->> 'amount')::numeric, payload -> 'unit_price_after' ->> 'currency'
FROM ({events}) e WHERE type = 'AdjustmentPosted';

-- The wishes behind it and how far they came. What was posted stays posted, whatever was told of the request later.
WITH told AS MATERIALIZED (
    SELECT position, type, occurred_at, payload ->> 'request_id' AS request_id, payload ->> 'superseded_by' AS superseded_by
    FROM ({events}) e WHERE type <> 'AdjustmentPosted' OR (payload ->> 'completes_request')::boolean
),
touched AS (
    SELECT request_id,
        min(position) FILTER (WHERE type = 'AdjustmentRequested') AS requested,
        min(position) FILTER (WHERE type = 'AdjustmentPosted') AS posted,
        min(position) FILTER (WHERE type = 'UnitsFoundEqual') AS found_equal,
        min(position) FILTER (WHERE type = 'AdjustmentSuperseded') AS superseded,
        min(occurred_at) FILTER (WHERE type = 'AdjustmentRefused') AS refused_at,
        min(occurred_at) FILTER (WHERE type = 'AdjustmentDropped') AS dropped_at
    FROM told GROUP BY 1
),
merged AS (
    SELECT t.request_id, t.requested, r.request_id IS NOT NULL AS known, r AS old,
        coalesce(r.posted_at, p.occurred_at) AS posted_at,
        coalesce(r.found_equal_at, e.occurred_at) AS found_equal_at,
        coalesce(r.superseded_at, s.occurred_at) AS superseded_at,
        coalesce(r.refused_at, t.refused_at) AS refused_at, coalesce(r.dropped_at, t.dropped_at) AS dropped_at,
        CASE WHEN r.superseded_at IS NULL THEN s.superseded_by ELSE r.superseded_by END AS superseded_by
    FROM touched t
    -- The list is what keeps a rebuild from reading all requests so far with every slice.
    LEFT JOIN reporting.requests r
        ON r.msp_id = :msp_id AND r.generation = :generation AND r.request_id = t.request_id
        AND r.request_id = ANY (ARRAY(SELECT request_id FROM touched))
    -- The types follow from the positions; saying them spares hashing every event three times.
    LEFT JOIN told p ON p.position = t.posted AND p.type = 'AdjustmentPosted'
    LEFT JOIN told e ON e.position = t.found_equal AND e.type = 'UnitsFoundEqual'
    LEFT JOIN told s ON s.position = t.superseded AND s.type = 'AdjustmentSuperseded'
)
INSERT INTO reporting.requests ({requests.columns})
SELECT :msp_id, :generation, request_id,
    coalesce((old).connection_id, payload ->> 'connection_id'),
    coalesce((old).company_id, payload ->> 'company_id'),
    coalesce((old).company_name, payload ->> 'company_name'),
    coalesce((old).subscription_id, payload ->> 'subscription_id'),
    coalesce((old).subscription_name, payload ->> 'subscription_name'),
    coalesce((old).resource_id, payload ->> 'resource_id'),
    coalesce((old).resource_name, payload ->> 'resource_name'),
    coalesce((old).psa_connection_id, payload ->> 'psa_connection_id'),
    coalesce((old).psa_customer_id, payload ->> 'psa_customer_id'),
    coalesce((old).psa_customer_name, payload ->> 'psa_customer_name'),
    coalesce((old).psa_agreement_id, payload ->> 'psa_agreement_id'),
    coalesce((old).psa_agreement_name, payload ->> 'psa_agreement_name'),
    coalesce((old).psa_product_id, payload ->> 'psa_product_id'),
    coalesce((old).psa_product_name, payload ->> 'psa_product_name'),
    coalesce((old).target_units, (payload ->> 'target_units')::integer),
    CASE WHEN known THEN (old).target_unit_cost ELSE (payload -> 'target_unit_cost' ->> 'amount')::numeric END,
    CASE WHEN known THEN (old).target_unit_cost_currency ELSE payload -> 'target_unit_cost' ->> 'currency' END,
    coalesce((old).reason, payload ->> 'reason'),
    coalesce((old).causes, payload -> 'causes'),
    coalesce((old).requested_at, q.occurred_at),
    CASE WHEN posted_at IS NOT NULL THEN 'posted' WHEN found_equal_at IS NOT NULL THEN 'found_equal'
        WHEN superseded_at IS NOT NULL THEN 'superseded' WHEN refused_at IS NOT NULL THEN 'refused'
        WHEN dropped_at IS NOT NULL THEN 'dropped' ELSE 'open' END,
    posted_at, found_equal_at, superseded_at, superseded_by, refused_at, dropped_at,
    CASE WHEN known THEN (old).target_unit_price ELSE (payload -> 'target_unit_price' ->> 'amount')::numeric END,
    CASE WHEN known THEN (old).target_unit_price_currency ELSE payload -> 'target_unit_price' ->> 'currency' END
-- Whole events are read where their rows are written: to carry them through the joins would cost more than the joins.
FROM merged LEFT JOIN ({events}) q ON q.position = requested AND q.type = 'AdjustmentRequested'
WHERE q.position IS NOT NULL OR known
{requests.upsert}
