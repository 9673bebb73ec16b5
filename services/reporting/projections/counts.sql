-- Ranges [from_position, to_position) of one resource in which nothing of it changed. Each event is taken as the facts that it
-- sets; the facts of a resource after an event are all that were set until then, and a range begins where they differ.
WITH events AS MATERIALIZED ({events}),
own AS (
    SELECT reporting.resource_key(:msp_id, payload) AS resource_key, position, occurred_at,
        payload ->> 'connection_id' AS connection_id, payload ->> 'subscription_id' AS subscription_id,
        CASE type
            WHEN 'ResourceDiscovered' THEN jsonb_build_object('ended', NULL, 'count', payload -> 'count',
                'unit_cost', payload -> 'unit_cost', 'unit_price', payload -> 'unit_price')
            WHEN 'ResourceCountChanged' THEN jsonb_build_object('count', payload -> 'count')
            WHEN 'ResourceCostChanged' THEN
                jsonb_build_object('unit_cost', payload -> 'unit_cost', 'unit_price', payload -> 'unit_price')
            WHEN 'ResourceDisappeared' THEN jsonb_build_object('ended', true, 'count', '0')
            WHEN 'RelationSet' THEN jsonb_build_object('relation_id', payload -> 'relation_id',
                'psa_connection_id', payload -> 'psa_connection_id', 'psa_product_id', payload -> 'psa_product_id')
            WHEN 'RelationCleared' THEN
                jsonb_build_object('relation_id', NULL, 'psa_connection_id', NULL, 'psa_product_id', NULL)
            WHEN 'ResourceExcluded' THEN jsonb_build_object('excluded', true)
            WHEN 'ResourceIncluded' THEN jsonb_build_object('excluded', NULL)
            ELSE '{}' END AS facts
    FROM events WHERE type <> 'SubscriptionRenewed'
),
renewed AS (
    SELECT position, occurred_at, payload ->> 'connection_id' AS connection_id,
        payload ->> 'previous_subscription_id' AS subscription_id
    FROM events WHERE type = 'SubscriptionRenewed'
),
-- A renewal ends the resources of the old subscription that were known by then.
ends AS (
    SELECT c.resource_key, r.position, r.occurred_at, r.connection_id, r.subscription_id
    FROM renewed r JOIN reporting.counts c ON c.msp_id = :msp_id AND c.generation = :generation
        AND c.connection_id = r.connection_id AND c.subscription_id = r.subscription_id AND c.to_position IS NULL
    UNION
    SELECT o.resource_key, r.position, r.occurred_at, r.connection_id, r.subscription_id
    FROM renewed r JOIN own o ON o.connection_id = r.connection_id AND o.subscription_id = r.subscription_id
        AND o.position < r.position
),
fresh AS (
    SELECT * FROM own
    UNION ALL
    SELECT *, jsonb_build_object('ended', true, 'count', '0') FROM ends
),
steps AS (
    SELECT *, false AS known FROM fresh
    UNION ALL
    SELECT c.resource_key, c.from_position, c.valid_from, c.connection_id, c.subscription_id,
        jsonb_build_object('ended', CASE WHEN c.status = 'ended' THEN true END, 'count', c.count::text,
            'unit_cost', CASE WHEN c.unit_cost IS NOT NULL
                THEN jsonb_build_object('amount', c.unit_cost::text, 'currency', c.unit_cost_currency) END,
            'unit_price', CASE WHEN c.unit_price IS NOT NULL
                THEN jsonb_build_object('amount', c.unit_price::text, 'currency', c.unit_price_currency) END,
            'relation_id', c.relation_id, 'psa_connection_id', c.psa_connection_id, 'psa_product_id', c.psa_product_id,
            'excluded', CASE WHEN c.excluded THEN true END),
        true
    FROM (SELECT DISTINCT resource_key FROM fresh) f JOIN reporting.counts c
        ON c.msp_id = :msp_id AND c.generation = :generation AND c.resource_key = f.resource_key AND c.to_position IS NULL
),
stated AS (
    SELECT resource_key, position, connection_id, subscription_id, known,
        occurred_at, jsonb_strip_nulls(reporting.merged(facts) OVER rising) AS facts
    FROM steps WINDOW rising AS (PARTITION BY resource_key ORDER BY position)
),
begun AS (
    -- A clock that was set back begins no range before the one that it ends. What begins none has no say in it: in a slice of
    -- its own it would leave no trace.
    SELECT *, max(occurred_at) OVER (PARTITION BY resource_key ORDER BY position) AS valid_from
    FROM (SELECT *, lag(facts) OVER (PARTITION BY resource_key ORDER BY position) AS before FROM stated) s
    WHERE before IS NULL OR facts <> before
),
changed AS (
    SELECT *, lead(position) OVER rising AS to_position, lead(valid_from) OVER rising AS valid_to
    FROM begun WINDOW rising AS (PARTITION BY resource_key ORDER BY position)
),
closed AS (
    UPDATE reporting.counts c SET to_position = n.to_position, valid_to = n.valid_to
    FROM changed n
    WHERE n.known AND n.to_position IS NOT NULL AND c.msp_id = :msp_id AND c.generation = :generation
        AND c.resource_key = n.resource_key AND c.from_position = n.position AND c.to_position IS NULL
)
INSERT INTO reporting.counts ({counts.columns})
SELECT :msp_id, :generation, resource_key, position, to_position, valid_from, valid_to, connection_id, subscription_id,
    CASE WHEN facts ? 'ended' THEN 'ended' ELSE 'active' END,
    (facts ->> 'count')::numeric,
    (facts -> 'unit_cost' ->> 'amount')::numeric, facts -> 'unit_cost' ->> 'currency',
    (facts -> 'unit_price' ->> 'amount')::numeric, facts -> 'unit_price' ->> 'currency',
    facts ->> 'relation_id', facts ->> 'psa_connection_id', facts ->> 'psa_product_id', facts ? 'excluded'
FROM changed WHERE NOT known;

-- Which subscription another one went on from: the last word wins.
INSERT INTO reporting.renewals ({renewals.columns})
SELECT DISTINCT ON (payload ->> 'connection_id', payload ->> 'subscription_id')
    :msp_id, :generation, payload ->> 'connection_id', payload ->> 'subscription_id',
    payload ->> 'previous_subscription_id', occurred_at
FROM ({events}) e WHERE type = 'SubscriptionRenewed'
ORDER BY payload ->> 'connection_id', payload ->> 'subscription_id', position DESC
{renewals.upsert}
