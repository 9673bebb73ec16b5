-- One row a life of a relation. It begins when the relation is set; the next event of the same resource ends it.
WITH events AS MATERIALIZED ({events}),
steps AS (
    SELECT *, lead(position) OVER lives AS next, row_number() OVER lives AS number
    FROM (SELECT *, reporting.resource_key(:msp_id, payload) AS resource_key FROM events) e
    WINDOW lives AS (PARTITION BY resource_key ORDER BY position)
),
ended AS (
    UPDATE reporting.relations r
    SET state = 'cleared', cleared_at = s.occurred_at, cleared_by = s.actor,
        cleared_reason = coalesce(s.payload ->> 'reason', 'set anew'), followed_to = s.payload ->> 'followed_to'
    FROM steps s
    WHERE s.number = 1 AND r.msp_id = :msp_id AND r.generation = :generation AND r.resource_key = s.resource_key
        AND r.state = 'live'
)
INSERT INTO reporting.relations ({relations.columns})
SELECT :msp_id, :generation, s.position, s.payload ->> 'relation_id', s.resource_key,
    s.payload ->> 'connection_id', s.payload ->> 'company_id', s.payload ->> 'company_name',
    s.payload ->> 'subscription_id', s.payload ->> 'subscription_name',
    s.payload ->> 'resource_id', s.payload ->> 'resource_name',
    s.payload ->> 'psa_connection_id', s.payload ->> 'psa_customer_id', s.payload ->> 'psa_customer_name',
    s.payload ->> 'psa_agreement_id', s.payload ->> 'psa_agreement_name',
    s.payload ->> 'psa_product_id', s.payload ->> 'psa_product_name',
    CASE WHEN n.position IS NULL THEN 'live' ELSE 'cleared' END,
    s.occurred_at, s.actor, s.payload ->> 'followed_from',
    n.occurred_at, n.actor,
    CASE WHEN n.position IS NOT NULL THEN coalesce(n.payload ->> 'reason', 'set anew') END,
    n.payload ->> 'followed_to'
FROM steps s LEFT JOIN events n ON n.position = s.next
WHERE s.type = 'RelationSet'
