-- Customers, agreements and products: the last observation wins; gone holds until it is seen again.
WITH events AS MATERIALIZED ({events}),
touched AS (
    SELECT payload ->> 'psa_connection_id' AS psa_connection_id,
        coalesce(payload ->> 'psa_customer_id', payload ->> 'record_id') AS psa_customer_id,
        max(position) FILTER (WHERE type = 'PsaCustomerObserved') AS observed,
        max(position) FILTER (WHERE type = 'PsaRecordGone') AS gone
    FROM events WHERE type = 'PsaCustomerObserved' OR (type = 'PsaRecordGone' AND payload ->> 'level' = 'customer')
    GROUP BY 1, 2
)
INSERT INTO reporting.psa_customers ({psa_customers.columns})
SELECT :msp_id, :generation, t.psa_connection_id, t.psa_customer_id,
    coalesce(o.payload ->> 'psa_customer_name', r.psa_customer_name),
    CASE WHEN o.position IS NULL THEN r.contact ELSE o.payload ->> 'contact' END,
    coalesce((o.payload ->> 'active')::boolean, r.active),
    t.gone > coalesce(t.observed, 0) IS TRUE OR (t.observed IS NULL AND r.gone),
    coalesce(o.occurred_at, r.observed_at)
FROM touched t
LEFT JOIN reporting.psa_customers r ON r.msp_id = :msp_id AND r.generation = :generation
    AND r.psa_connection_id = t.psa_connection_id AND r.psa_customer_id = t.psa_customer_id
LEFT JOIN events o ON o.position = t.observed
WHERE o.position IS NOT NULL OR r.psa_customer_id IS NOT NULL
{psa_customers.upsert};

WITH events AS MATERIALIZED ({events}),
touched AS (
    SELECT payload ->> 'psa_connection_id' AS psa_connection_id,
        coalesce(payload ->> 'psa_agreement_id', payload ->> 'record_id') AS psa_agreement_id,
        max(position) FILTER (WHERE type = 'PsaAgreementObserved') AS observed,
        max(position) FILTER (WHERE type = 'PsaRecordGone') AS gone
    FROM events WHERE type = 'PsaAgreementObserved' OR (type = 'PsaRecordGone' AND payload ->> 'level' = 'agreement')
    GROUP BY 1, 2
)
INSERT INTO reporting.psa_agreements ({psa_agreements.columns})
SELECT :msp_id, :generation, t.psa_connection_id, t.psa_agreement_id,
    coalesce(o.payload ->> 'psa_agreement_name', r.psa_agreement_name),
    coalesce(o.payload ->> 'psa_customer_id', r.psa_customer_id),
    coalesce(o.payload ->> 'psa_customer_name', r.psa_customer_name),
    CASE WHEN o.position IS NULL THEN r.description ELSE o.payload ->> 'description' END,
    coalesce((o.payload ->> 'active')::boolean, r.active),
    coalesce((o.payload ->> 'recurring')::boolean, r.recurring),
    coalesce((o.payload ->> 'start_date')::date, r.start_date),
    coalesce((o.payload ->> 'end_date')::date, r.end_date),
    t.gone > coalesce(t.observed, 0) IS TRUE OR (t.observed IS NULL AND r.gone),
    coalesce(o.occurred_at, r.observed_at)
FROM touched t
LEFT JOIN reporting.psa_agreements r ON r.msp_id = :msp_id AND r.generation = :generation
    AND r.psa_connection_id = t.psa_connection_id AND r.psa_agreement_id = t.psa_agreement_id
LEFT JOIN events o ON o.position = t.observed
WHERE o.position IS NOT NULL OR r.psa_agreement_id IS NOT NULL
{psa_agreements.upsert};

-- A product is named by whatever observed it last; its units stand on their own.
WITH events AS MATERIALIZED ({events}),
touched AS (
    SELECT payload ->> 'psa_connection_id' AS psa_connection_id,
        coalesce(payload ->> 'psa_product_id', payload ->> 'record_id') AS psa_product_id,
        min(position) FILTER (WHERE type <> 'PsaRecordGone') AS first,
        max(position) FILTER (WHERE type <> 'PsaRecordGone') AS named,
        max(position) FILTER (WHERE type = 'PsaProductObserved') AS observed,
        max(position) FILTER (WHERE type = 'PsaUnitsObserved') AS counted,
        max(position) FILTER (WHERE type = 'PsaRecordGone') AS gone
    FROM events WHERE type IN ('PsaProductObserved', 'PsaUnitsObserved')
        OR (type = 'PsaRecordGone' AND payload ->> 'level' = 'product')
    GROUP BY 1, 2
)
INSERT INTO reporting.psa_products ({psa_products.columns})
SELECT :msp_id, :generation, t.psa_connection_id,
    coalesce(n.payload ->> 'psa_customer_id', r.psa_customer_id),
    coalesce(n.payload ->> 'psa_customer_name', r.psa_customer_name),
    coalesce(n.payload ->> 'psa_agreement_id', r.psa_agreement_id),
    coalesce(n.payload ->> 'psa_agreement_name', r.psa_agreement_name),
    t.psa_product_id,
    coalesce(n.payload ->> 'psa_product_name', r.psa_product_name),
    CASE WHEN o.position IS NULL THEN r.vendor ELSE o.payload ->> 'vendor' END,
    coalesce(o.payload ->> 'period_type', r.period_type),
    coalesce((o.payload ->> 'active')::boolean, r.active, true),
    CASE WHEN o.position IS NULL THEN r.unit_cost ELSE (o.payload -> 'unit_cost' ->> 'amount')::numeric END,
    CASE WHEN o.position IS NULL THEN r.unit_cost_currency ELSE o.payload -> 'unit_cost' ->> 'currency' END,
    CASE WHEN o.position IS NULL THEN r.unit_price ELSE (o.payload -> 'unit_price' ->> 'amount')::numeric END,
    CASE WHEN o.position IS NULL THEN r.unit_price_currency ELSE o.payload -> 'unit_price' ->> 'currency' END,
    coalesce((u.payload ->> 'units')::integer, r.units),
    coalesce((u.payload ->> 'on_date')::date, r.units_on_date),
    coalesce(u.occurred_at, r.units_read_at),
    -- Gone before it was ever seen says nothing, whether both stand in one slice or not.
    CASE WHEN t.gone > coalesce(t.observed, 0) AND (r.psa_product_id IS NOT NULL OR t.gone > t.first) THEN true
        WHEN t.observed IS NOT NULL THEN false ELSE coalesce(r.gone, false) END,
    coalesce(n.occurred_at, r.observed_at)
FROM touched t
LEFT JOIN reporting.psa_products r ON r.msp_id = :msp_id AND r.generation = :generation
    AND r.psa_connection_id = t.psa_connection_id AND r.psa_product_id = t.psa_product_id
LEFT JOIN events n ON n.position = t.named
LEFT JOIN events o ON o.position = t.observed
LEFT JOIN events u ON u.position = t.counted
WHERE n.position IS NOT NULL OR r.psa_product_id IS NOT NULL
{psa_products.upsert}
