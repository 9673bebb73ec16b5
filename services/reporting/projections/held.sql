-- What the brake holds, one row a request. It is what was told of it last; an end is final, and what came before the first hold
-- has no row to change. What was approved before it was held anew no longer counts.
WITH told AS MATERIALIZED (
    SELECT position, type, payload, occurred_at, actor, payload ->> 'request_id' AS request_id,
        CASE type WHEN 'AdjustmentPosted' THEN 'posted' WHEN 'UnitsFoundEqual' THEN 'found_equal'
            WHEN 'AdjustmentSuperseded' THEN 'superseded' WHEN 'AdjustmentRefused' THEN 'refused'
            WHEN 'AdjustmentDropped' THEN 'dropped' END AS ends_as
    FROM ({events}) e WHERE type <> 'AdjustmentPosted' OR (payload ->> 'completes_request')::boolean
),
placed AS (
    SELECT t.*, r AS old, r.request_id IS NOT NULL AS known,
        min(t.position) FILTER (WHERE t.type = 'AdjustmentHeld') OVER request AS first_held
    FROM told t
    -- The list is what keeps a rebuild from reading all requests so far with every slice.
    LEFT JOIN reporting.held_requests r
        ON r.msp_id = :msp_id AND r.generation = :generation AND r.request_id = t.request_id
        AND r.request_id = ANY (ARRAY(SELECT request_id FROM told))
    WINDOW request AS (PARTITION BY t.request_id)
),
living AS (
    SELECT *, min(position) FILTER (WHERE ends_as IS NOT NULL) OVER (PARTITION BY request_id) AS ended
    FROM placed
    WHERE (known OR position >= first_held)
        AND coalesce((old).state, '') NOT IN ('posted', 'found_equal', 'superseded', 'refused', 'dropped')
),
kept AS (
    SELECT *, max(position) FILTER (WHERE type = 'AdjustmentHeld') OVER request AS held,
        CASE WHEN ends_as IS NOT NULL THEN ends_as
            WHEN type = 'AdjustmentHeld' THEN 'held' WHEN type = 'AdjustmentMoved' THEN 'moved'
            WHEN type = 'AdjustmentApproved' THEN CASE WHEN payload -> 'nth' = payload -> 'people_needed' THEN 'approved' ELSE 'held' END
            ELSE 'under_way' END AS becomes
    FROM living WHERE ended IS NULL OR position <= ended
    WINDOW request AS (PARTITION BY request_id)
),
decided AS (
    SELECT DISTINCT ON (request_id) request_id, occurred_at, actor,
        nullif(coalesce(payload ->> 'reason', payload ->> 'comment', ''), '') AS reason
    FROM kept
    WHERE becomes IN ('approved', 'moved', 'refused', 'dropped') AND position > coalesce(held, 0)
    ORDER BY request_id, position DESC
),
approved AS (
    SELECT request_id, count(*) AS people, string_agg(actor, ', ' ORDER BY position) AS names
    FROM kept WHERE type = 'AdjustmentApproved' AND position > coalesce(held, 0) GROUP BY 1
),
merged AS (
    SELECT DISTINCT ON (k.request_id) k.request_id, k.old, k.becomes, k.held, h.payload, f.occurred_at AS held_since
    FROM kept k
    LEFT JOIN kept h ON h.position = k.held
    LEFT JOIN kept f ON f.position = k.first_held
    ORDER BY k.request_id, k.position DESC
)
INSERT INTO reporting.held_requests ({held_requests.columns})
SELECT :msp_id, :generation, m.request_id,
    coalesce(m.payload ->> 'connection_id', (m.old).connection_id),
    coalesce(m.payload ->> 'company_id', (m.old).company_id),
    coalesce(m.payload ->> 'company_name', (m.old).company_name),
    coalesce(m.payload ->> 'subscription_id', (m.old).subscription_id),
    coalesce(m.payload ->> 'subscription_name', (m.old).subscription_name),
    coalesce(m.payload ->> 'resource_id', (m.old).resource_id),
    coalesce(m.payload ->> 'resource_name', (m.old).resource_name),
    coalesce(m.payload ->> 'psa_connection_id', (m.old).psa_connection_id),
    coalesce(m.payload ->> 'psa_customer_id', (m.old).psa_customer_id),
    coalesce(m.payload ->> 'psa_customer_name', (m.old).psa_customer_name),
    coalesce(m.payload ->> 'psa_agreement_id', (m.old).psa_agreement_id),
    coalesce(m.payload ->> 'psa_agreement_name', (m.old).psa_agreement_name),
    coalesce(m.payload ->> 'psa_product_id', (m.old).psa_product_id),
    coalesce(m.payload ->> 'psa_product_name', (m.old).psa_product_name),
    coalesce(m.payload ->> 'rule', (m.old).rule),
    coalesce(m.payload ->> 'message', (m.old).rule_text),
    coalesce(m.payload ->> 'severity', (m.old).severity),
    coalesce((m.payload ->> 'units_before')::integer, (m.old).units_before),
    coalesce((m.payload ->> 'target_units')::integer, (m.old).target_units),
    CASE WHEN m.held IS NULL THEN (m.old).effective_date ELSE c.effective_date END,
    CASE WHEN m.held IS NULL THEN (m.old).money_now ELSE c.money_now END,
    CASE WHEN m.held IS NULL THEN (m.old).money_now_currency ELSE c.currency END,
    CASE WHEN m.held IS NULL THEN (m.old).price_per_month ELSE (m.payload -> 'price_per_month' ->> 'amount')::numeric END,
    CASE WHEN m.held IS NULL THEN (m.old).price_per_month_currency ELSE m.payload -> 'price_per_month' ->> 'currency' END,
    CASE WHEN m.held IS NULL THEN (m.old).evidence_for ELSE v.speaks_for END,
    CASE WHEN m.held IS NULL THEN (m.old).evidence_against ELSE v.against END,
    CASE WHEN m.held IS NULL THEN (m.old).approvals ELSE 0 END + coalesce(a.people, 0),
    nullif(concat_ws(', ', CASE WHEN m.held IS NULL THEN (m.old).approved_by END, a.names), ''),
    coalesce((m.payload ->> 'people_needed')::integer, (m.old).people_needed),
    coalesce((m.old).held_since, m.held_since),
    m.becomes,
    CASE WHEN d.request_id IS NOT NULL THEN d.occurred_at WHEN m.held IS NULL THEN (m.old).decided_at END,
    CASE WHEN d.request_id IS NOT NULL THEN d.actor WHEN m.held IS NULL THEN (m.old).decided_by END,
    CASE WHEN d.request_id IS NOT NULL THEN d.reason WHEN m.held IS NULL THEN (m.old).reason END
FROM merged m
LEFT JOIN decided d ON d.request_id = m.request_id
LEFT JOIN approved a ON a.request_id = m.request_id
LEFT JOIN LATERAL (
    SELECT min((each ->> 'effective_date')::date) AS effective_date,
        sum((each -> 'prorated_price' ->> 'amount')::numeric) AS money_now, min(each -> 'prorated_price' ->> 'currency') AS currency
    FROM jsonb_array_elements(m.payload -> 'changes') AS each
) c ON true
LEFT JOIN LATERAL (
    SELECT string_agg(each ->> 'text', chr(10) ORDER BY n) FILTER (WHERE (each ->> 'speaks_for')::boolean) AS speaks_for,
        string_agg(each ->> 'text', chr(10) ORDER BY n) FILTER (WHERE NOT (each ->> 'speaks_for')::boolean) AS against
    FROM jsonb_array_elements(m.payload -> 'evidence') WITH ORDINALITY AS said (each, n)
) v ON true
{held_requests.upsert};

-- What would have been posted but for the mode, one row a request: the plan that was told last.
INSERT INTO reporting.shadowed_requests ({shadowed_requests.columns})
SELECT DISTINCT ON (payload ->> 'request_id') :msp_id, :generation, payload ->> 'request_id',
    payload ->> 'connection_id',
    payload ->> 'company_id',
    payload ->> 'company_name',
    payload ->> 'subscription_id',
    payload ->> 'subscription_name',
    payload ->> 'resource_id',
    payload ->> 'resource_name',
    payload ->> 'psa_connection_id',
    payload ->> 'psa_customer_id',
    payload ->> 'psa_customer_name',
    payload ->> 'psa_agreement_id',
    payload ->> 'psa_agreement_name',
    payload ->> 'psa_product_id',
    payload ->> 'psa_product_name',
    (payload ->> 'units_before')::integer, (payload ->> 'target_units')::integer, c.effective_date, c.money_now, c.currency,
    (payload -> 'price_per_month' ->> 'amount')::numeric, payload -> 'price_per_month' ->> 'currency', occurred_at, 'would_post'
FROM ({events}) e
CROSS JOIN LATERAL (
    SELECT min((each ->> 'effective_date')::date) AS effective_date,
        sum((each -> 'prorated_price' ->> 'amount')::numeric) AS money_now, min(each -> 'prorated_price' ->> 'currency') AS currency
    FROM jsonb_array_elements(payload -> 'changes') AS each
) c
WHERE type = 'AdjustmentShadowed'
ORDER BY payload ->> 'request_id', position DESC
{shadowed_requests.upsert};

-- What became of it: the mode was changed, or a newer wish took its place.
UPDATE reporting.shadowed_requests r
SET state = CASE l.type WHEN 'AdjustmentPosted' THEN 'posted' WHEN 'UnitsFoundEqual' THEN 'found_equal'
    WHEN 'AdjustmentSuperseded' THEN 'superseded' ELSE 'under_way' END
FROM (
    SELECT DISTINCT ON (payload ->> 'request_id') payload ->> 'request_id' AS request_id, type FROM ({events}) e
    WHERE type <> 'AdjustmentPosted' OR (payload ->> 'completes_request')::boolean
    ORDER BY payload ->> 'request_id', position DESC
) l
WHERE r.msp_id = :msp_id AND r.generation = :generation AND r.request_id = l.request_id AND l.type <> 'AdjustmentShadowed'
    AND r.request_id = ANY (ARRAY(SELECT payload ->> 'request_id' FROM ({events}) e))
