-- Subscriptions: the last observation of each wins.
INSERT INTO reporting.subscriptions ({subscriptions.columns})
SELECT DISTINCT ON (payload ->> 'connection_id', payload ->> 'subscription_id')
    :msp_id, :generation, payload ->> 'connection_id', payload ->> 'subscription_id', payload ->> 'status',
    payload ->> 'billing_period',
    CASE WHEN payload ->> 'billing_period' ~ '^[0-9]{1,4} (month|year)s?$'
        THEN split_part(payload ->> 'billing_period', ' ', 1)::integer
             * CASE WHEN payload ->> 'billing_period' LIKE '%year%' THEN 12 ELSE 1 END END,
    (payload ->> 'renewal_date')::date, (payload ->> 'renews')::boolean
FROM ({events}) e WHERE type = 'SubscriptionObserved'
ORDER BY payload ->> 'connection_id', payload ->> 'subscription_id', position DESC
{subscriptions.upsert};

-- Resources: for each group of facts the last event in the slice that speaks of it, else what is there. A resource that has
-- ended counts 0. Its names are the poller's; a relation names it only when the poller has not yet.
WITH events AS MATERIALIZED ({events}),
touched AS (
    SELECT reporting.resource_key(:msp_id, payload) AS resource_key,
        min(position) AS first,
        max(position) FILTER (WHERE type LIKE 'Resource%') AS last_read,
        max(position) FILTER (WHERE type = 'ResourceDiscovered') AS discovered,
        max(position) FILTER (WHERE type IN ('ResourceDiscovered', 'ResourceCountChanged')) AS counted,
        max(position) FILTER (WHERE type IN ('ResourceDiscovered', 'ResourceCostChanged')) AS costed,
        max(position) FILTER (WHERE type = 'ResourceDisappeared') AS disappeared,
        max(position) FILTER (WHERE type IN ('RelationSet', 'RelationCleared')) AS related
    -- Said by what is left out: of seven types that are named PostgreSQL expects a handful of rows, and its plan takes minutes.
    FROM events WHERE type NOT IN ('SubscriptionObserved', 'SubscriptionRenewed', 'RelationSettingsSaved', 'RelationFrozen',
        'RelationUnfrozen', 'ResourceExcluded', 'ResourceIncluded') GROUP BY 1
),
renewed AS (
    SELECT payload ->> 'connection_id' AS connection_id, payload ->> 'previous_subscription_id' AS subscription_id,
        max(position) AS position
    FROM events WHERE type = 'SubscriptionRenewed' GROUP BY 1, 2
),
keys AS (
    SELECT resource_key FROM touched
    UNION
    SELECT r.resource_key FROM renewed JOIN reporting.resources r USING (connection_id, subscription_id)
    WHERE r.msp_id = :msp_id AND r.generation = :generation
)
INSERT INTO reporting.resources ({resources.columns})
SELECT :msp_id, :generation, k.resource_key,
    coalesce(n.payload ->> 'connection_id', r.connection_id),
    coalesce(n.payload ->> 'company_id', r.company_id),
    coalesce(n.payload ->> 'company_name', r.company_name),
    coalesce(n.payload ->> 'subscription_id', r.subscription_id),
    coalesce(n.payload ->> 'subscription_name', r.subscription_name),
    coalesce(n.payload ->> 'resource_id', r.resource_id),
    coalesce(n.payload ->> 'resource_name', r.resource_name),
    CASE WHEN ended.position IS NULL AND t.discovered IS NULL THEN coalesce(r.status, 'active')
        WHEN ended.position > coalesce(t.discovered, 0) THEN 'ended' ELSE 'active' END,
    CASE WHEN ended.position > coalesce(t.counted, 0) THEN 0
        WHEN t.counted IS NULL THEN r.count ELSE (c.payload ->> 'count')::numeric END,
    CASE WHEN t.discovered IS NULL THEN r.unit ELSE d.payload ->> 'unit' END,
    CASE WHEN t.costed IS NULL THEN r.unit_cost ELSE (m.payload -> 'unit_cost' ->> 'amount')::numeric END,
    CASE WHEN t.costed IS NULL THEN r.unit_cost_currency ELSE m.payload -> 'unit_cost' ->> 'currency' END,
    CASE WHEN t.costed IS NULL THEN r.unit_price ELSE (m.payload -> 'unit_price' ->> 'amount')::numeric END,
    CASE WHEN t.costed IS NULL THEN r.unit_price_currency ELSE m.payload -> 'unit_price' ->> 'currency' END,
    coalesce((d.payload ->> 'usage_based')::boolean, r.usage_based, false),
    CASE WHEN t.discovered IS NULL THEN r.mpn ELSE d.payload ->> 'mpn' END,
    CASE WHEN t.discovered IS NULL THEN r.vendor ELSE d.payload ->> 'vendor' END,
    CASE WHEN t.discovered IS NULL THEN r.vendor_subscription_id ELSE d.payload ->> 'vendor_subscription_id' END,
    coalesce(r.first_seen_at, f.occurred_at),
    coalesce(l.occurred_at, r.read_at, f.occurred_at),
    CASE WHEN ended.position IS NULL AND t.discovered IS NULL THEN r.ended_at
        WHEN ended.position > coalesce(t.discovered, 0) THEN x.occurred_at END,
    CASE WHEN t.related IS NULL THEN r.relation_id ELSE s.payload ->> 'relation_id' END,
    CASE WHEN t.related IS NULL THEN r.psa_connection_id ELSE s.payload ->> 'psa_connection_id' END,
    CASE WHEN t.related IS NULL THEN r.psa_customer_id ELSE s.payload ->> 'psa_customer_id' END,
    CASE WHEN t.related IS NULL THEN r.psa_customer_name ELSE s.payload ->> 'psa_customer_name' END,
    CASE WHEN t.related IS NULL THEN r.psa_agreement_id ELSE s.payload ->> 'psa_agreement_id' END,
    CASE WHEN t.related IS NULL THEN r.psa_agreement_name ELSE s.payload ->> 'psa_agreement_name' END,
    CASE WHEN t.related IS NULL THEN r.psa_product_id ELSE s.payload ->> 'psa_product_id' END,
    CASE WHEN t.related IS NULL THEN r.psa_product_name ELSE s.payload ->> 'psa_product_name' END,
    CASE WHEN t.related IS NULL THEN r.linked_at ELSE s.occurred_at END,
    CASE WHEN t.related IS NULL THEN r.linked_by ELSE s.actor END
FROM keys k
LEFT JOIN touched t ON t.resource_key = k.resource_key
LEFT JOIN reporting.resources r
    ON r.msp_id = :msp_id AND r.generation = :generation AND r.resource_key = k.resource_key
LEFT JOIN events n ON n.position = coalesce(t.last_read, CASE WHEN r.resource_key IS NULL THEN t.first END)
LEFT JOIN renewed w ON w.connection_id = coalesce(n.payload ->> 'connection_id', r.connection_id)
    AND w.subscription_id = coalesce(n.payload ->> 'subscription_id', r.subscription_id)
    AND (r.resource_key IS NOT NULL OR t.first < w.position)
CROSS JOIN LATERAL (SELECT greatest(t.disappeared, w.position) AS position) ended
LEFT JOIN events f ON f.position = t.first
LEFT JOIN events l ON l.position = t.last_read
LEFT JOIN events d ON d.position = t.discovered
LEFT JOIN events c ON c.position = t.counted
LEFT JOIN events m ON m.position = t.costed
LEFT JOIN events x ON x.position = ended.position
LEFT JOIN events s ON s.position = t.related AND s.type = 'RelationSet'
{resources.upsert};

-- What was settled for relations: the last word of each kind wins. A relation that is set anew has another id.
WITH events AS MATERIALIZED (
    SELECT * FROM ({events}) e WHERE type IN ('RelationSettingsSaved', 'RelationFrozen', 'RelationUnfrozen')
),
touched AS (
    SELECT payload ->> 'relation_id' AS relation_id,
        max(position) FILTER (WHERE type = 'RelationSettingsSaved') AS saved,
        max(position) FILTER (WHERE type <> 'RelationSettingsSaved') AS frozen
    FROM events GROUP BY 1
),
told AS (
    SELECT t.relation_id, t.saved, t.frozen, s.occurred_at AS saved_at, s.actor AS saved_by,
        s.payload -> 'settings' -> 'rule' AS rule, s.payload -> 'settings' -> 'price' AS price,
        s.payload -> 'settings' ->> 'note' AS note, f.type = 'RelationFrozen' AS is_frozen, f.occurred_at AS frozen_at,
        f.actor AS frozen_by, f.payload ->> 'reason' AS frozen_reason
    FROM touched t LEFT JOIN events s ON s.position = t.saved LEFT JOIN events f ON f.position = t.frozen
)
INSERT INTO reporting.relation_settings ({relation_settings.columns})
SELECT :msp_id, :generation, t.relation_id,
    coalesce(reporting.rule_in_words(t.rule), r.rule, 'as is'),
    coalesce((t.rule ->> 'included')::numeric, r.included, 0),
    coalesce((t.rule ->> 'pack_size')::integer, r.pack_size, 1),
    coalesce((t.rule ->> 'minimum')::integer, r.minimum, 0),
    coalesce(t.rule ->> 'rounding', r.rounding, 'none'),
    coalesce(t.price ->> 'source', r.price_source, 'agreement'),
    CASE WHEN t.saved IS NULL THEN r.price ELSE (t.price -> 'price' ->> 'amount')::numeric END,
    CASE WHEN t.saved IS NULL THEN r.price_currency ELSE t.price -> 'price' ->> 'currency' END,
    CASE WHEN t.saved IS NULL THEN r.markup_percent ELSE (t.price ->> 'markup_percent')::numeric END,
    coalesce(t.note, r.note, ''),
    coalesce(t.saved_at, r.saved_at), coalesce(t.saved_by, r.saved_by),
    CASE WHEN t.frozen IS NULL THEN r.frozen_at WHEN t.is_frozen THEN t.frozen_at END,
    CASE WHEN t.frozen IS NULL THEN r.frozen_by WHEN t.is_frozen THEN t.frozen_by END,
    CASE WHEN t.frozen IS NULL THEN r.frozen_reason WHEN t.is_frozen THEN t.frozen_reason END
FROM told t LEFT JOIN reporting.relation_settings r
    ON r.msp_id = :msp_id AND r.generation = :generation AND r.relation_id = t.relation_id
{relation_settings.upsert};

-- What is excluded: the last word on each resource wins.
WITH told AS (
    SELECT DISTINCT ON (reporting.resource_key(:msp_id, payload)) reporting.resource_key(:msp_id, payload) AS resource_key,
        type, occurred_at, actor, payload
    FROM ({events}) e WHERE type IN ('ResourceExcluded', 'ResourceIncluded')
    ORDER BY reporting.resource_key(:msp_id, payload), position DESC
),
included AS (
    DELETE FROM reporting.exclusions x USING told t
    WHERE t.type = 'ResourceIncluded' AND x.msp_id = :msp_id AND x.generation = :generation
        AND x.resource_key = t.resource_key
)
INSERT INTO reporting.exclusions ({exclusions.columns})
SELECT :msp_id, :generation, resource_key, occurred_at, actor, payload ->> 'reason', (payload ->> 'until')::date
FROM told WHERE type = 'ResourceExcluded'
{exclusions.upsert}
