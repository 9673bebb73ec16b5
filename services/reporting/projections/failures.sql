-- How each request ended, if it did: its first ending is final.
INSERT INTO reporting.closed_requests ({closed_requests.columns})
SELECT :msp_id, :generation, payload ->> 'request_id', occurred_at,
    CASE WHEN type = 'AdjustmentPosted' THEN 'posted' WHEN type = 'UnitsFoundEqual' THEN 'found_equal'
        WHEN type = 'AdjustmentRefused' THEN 'refused' WHEN type = 'AdjustmentDropped' THEN 'dropped'
        WHEN payload ->> 'superseded_by' IS NULL THEN 'withdrawn' ELSE 'superseded' END
FROM ({events}) e
WHERE type IN ('UnitsFoundEqual', 'AdjustmentSuperseded', 'AdjustmentRefused', 'AdjustmentDropped')
    OR (type = 'AdjustmentPosted' AND (payload ->> 'completes_request')::boolean)
ORDER BY position
ON CONFLICT DO NOTHING;

-- Adjustments that did not go out, one row a request. A failure told late, after the request was posted or superseded, is
-- counted but opens nothing. What a person let go is tried at once, and is no longer parked.
WITH told AS MATERIALIZED (
    SELECT position, type, payload, occurred_at, payload ->> 'request_id' AS request_id FROM ({events}) e
    WHERE type IN ('AdjustmentFailed', 'AdjustmentParked', 'AdjustmentReleased', 'AdjustmentRetried')
),
touched AS (
    SELECT request_id,
        count(*) FILTER (WHERE type IN ('AdjustmentFailed', 'AdjustmentParked')) AS attempts,
        min(position) FILTER (WHERE type IN ('AdjustmentFailed', 'AdjustmentParked')) AS first_failed,
        max(position) FILTER (WHERE type IN ('AdjustmentFailed', 'AdjustmentParked')) AS last_failed,
        max(position) FILTER (WHERE type IN ('AdjustmentReleased', 'AdjustmentRetried')) AS let_go
    FROM told GROUP BY 1
),
merged AS (
    SELECT t.request_id, t.attempts + coalesce(r.attempts, 0) AS attempts, t.last_failed, r AS old,
        t.let_go > coalesce(t.last_failed, 0) AS goes, g.occurred_at AS let_go_at,
        l.payload, l.occurred_at AS last_failed_at, l.type AS last_type, f.occurred_at AS first_failed_at,
        c.closed_at, c.closed_by
    FROM touched t
    -- The lists are what keeps a rebuild from reading all requests so far with every slice.
    LEFT JOIN reporting.failures r
        ON r.msp_id = :msp_id AND r.generation = :generation AND r.failure_id = 'adjustment/' || t.request_id
        AND r.failure_id = ANY (ARRAY(SELECT 'adjustment/' || request_id FROM touched))
    LEFT JOIN reporting.closed_requests c
        ON c.msp_id = :msp_id AND c.generation = :generation AND c.request_id = t.request_id
        AND c.request_id = ANY (ARRAY(SELECT request_id FROM touched))
    LEFT JOIN told f ON f.position = t.first_failed
    LEFT JOIN told l ON l.position = t.last_failed
    LEFT JOIN told g ON g.position = t.let_go
)
INSERT INTO reporting.failures ({failures.columns})
SELECT :msp_id, :generation, 'adjustment/' || request_id, 'adjustment', request_id,
    coalesce(payload ->> 'connection_id', (old).connection_id),
    coalesce(payload ->> 'company_id', (old).company_id),
    coalesce(payload ->> 'company_name', (old).company_name),
    coalesce(payload ->> 'subscription_id', (old).subscription_id),
    coalesce(payload ->> 'subscription_name', (old).subscription_name),
    coalesce(payload ->> 'resource_id', (old).resource_id),
    coalesce(payload ->> 'resource_name', (old).resource_name),
    coalesce(payload ->> 'psa_connection_id', (old).psa_connection_id),
    coalesce(payload ->> 'psa_customer_id', (old).psa_customer_id),
    coalesce(payload ->> 'psa_customer_name', (old).psa_customer_name),
    coalesce(payload ->> 'psa_agreement_id', (old).psa_agreement_id),
    coalesce(payload ->> 'psa_agreement_name', (old).psa_agreement_name),
    coalesce(payload ->> 'psa_product_id', (old).psa_product_id),
    coalesce(payload ->> 'psa_product_name', (old).psa_product_name),
    coalesce((payload ->> 'target_units')::integer, (old).target_units),
    coalesce(payload ->> 'kind', (old).kind),
    coalesce(payload ->> 'message', (old).message),
    coalesce(payload ->> 'fix', (old).fix),
    attempts,
    coalesce((old).first_failed_at, first_failed_at),
    coalesce(last_failed_at, (old).last_failed_at),
    CASE WHEN closed_at IS NOT NULL THEN NULL WHEN goes THEN let_go_at WHEN last_failed IS NULL THEN (old).next_try_at
        ELSE (payload ->> 'next_try_at')::timestamptz END,
    CASE WHEN closed_at IS NOT NULL THEN 'closed' WHEN goes THEN 'open' WHEN last_failed IS NULL THEN (old).state
        WHEN last_type = 'AdjustmentParked' THEN 'parked' ELSE 'open' END,
    closed_at, closed_by
FROM merged
{failures.upsert};

-- What the brake holds, or the mode only shows, is no failure meanwhile: it may become one again.
WITH newest AS (
    SELECT DISTINCT ON (payload ->> 'request_id') 'adjustment/' || (payload ->> 'request_id') AS failure_id, type
    FROM ({events}) e
    WHERE type IN ('AdjustmentFailed', 'AdjustmentParked', 'AdjustmentReleased', 'AdjustmentRetried', 'AdjustmentHeld',
        'AdjustmentShadowed', 'AdjustmentMoved')
    ORDER BY payload ->> 'request_id', position DESC
)
UPDATE reporting.failures r
SET state = CASE n.type WHEN 'AdjustmentHeld' THEN 'held' WHEN 'AdjustmentShadowed' THEN 'shadowed' ELSE 'open' END,
    next_try_at = NULL
FROM newest n
WHERE r.msp_id = :msp_id AND r.generation = :generation AND r.state <> 'closed' AND r.failure_id = n.failure_id
    AND n.type IN ('AdjustmentHeld', 'AdjustmentShadowed', 'AdjustmentMoved')
    AND r.failure_id = ANY (ARRAY(SELECT failure_id FROM newest));

-- What was open and has ended now.
WITH ended AS (
    SELECT DISTINCT 'adjustment/' || (payload ->> 'request_id') AS failure_id FROM ({events}) e
    WHERE type IN ('UnitsFoundEqual', 'AdjustmentSuperseded', 'AdjustmentRefused', 'AdjustmentDropped')
        OR (type = 'AdjustmentPosted' AND (payload ->> 'completes_request')::boolean)
)
UPDATE reporting.failures r
SET state = 'closed', next_try_at = NULL, closed_at = c.closed_at, closed_by = c.closed_by
FROM reporting.closed_requests c
WHERE r.msp_id = :msp_id AND r.generation = :generation AND r.state <> 'closed'
    AND r.failure_id = ANY (ARRAY(SELECT failure_id FROM ended))
    AND c.msp_id = :msp_id AND c.generation = :generation AND c.request_id = r.request_id
    AND c.request_id = ANY (ARRAY(SELECT substr(failure_id, 12) FROM ended));

-- Polls, readings of the PSA's catalogue and plans: the same subject may fail, be well and fail again, and each time is a row
-- of its own. A failure opens a life or goes on with an open one; the first good sign after it ends it.
WITH events AS MATERIALIZED (
    SELECT position, type, occurred_at, payload ->> 'connection_id' AS connection_id,
        payload ->> 'psa_connection_id' AS psa_connection_id, payload ->> 'psa_product_id' AS psa_product_id,
        CASE WHEN type IN ('PollFailed', 'CatalogueReadFailed', 'PlanRefused') THEN payload END AS payload
    FROM ({events}) e
    WHERE type IN ('PollFailed', 'PollCompleted', 'PlanRefused', 'AdjustmentRequested', 'RelationSet', 'RelationCleared')
        OR type LIKE 'Catalogue%' OR type LIKE 'Psa%Observed'
),
feeding AS (
    SELECT position, psa_connection_id, psa_product_id, type = 'RelationCleared' AS cleared,
        sum(CASE type WHEN 'RelationSet' THEN 1 ELSE -1 END) OVER (
            PARTITION BY psa_connection_id, psa_product_id ORDER BY position
        ) AS change
    FROM events WHERE type IN ('RelationSet', 'RelationCleared')
),
unfed AS (
    SELECT f.position FROM feeding f LEFT JOIN reporting.fed_products p
        ON p.msp_id = :msp_id AND p.generation = :generation
        AND p.psa_connection_id = f.psa_connection_id AND p.psa_product_id = f.psa_product_id
    WHERE f.cleared AND coalesce(p.live_relations, 0) + f.change <= 0
),
marks AS (
    SELECT position, type, payload, occurred_at,
        CASE WHEN type LIKE 'Poll%' THEN 'poll/' || reporting.key_part(connection_id)
            WHEN type IN ('PlanRefused', 'AdjustmentRequested', 'RelationCleared')
                THEN 'plan/' || reporting.key_part(psa_connection_id) || '/' || reporting.key_part(psa_product_id)
            ELSE 'catalogue/' || reporting.key_part(psa_connection_id) END AS subject,
        type IN ('PollFailed', 'CatalogueReadFailed', 'PlanRefused') AS fails
    FROM events
    WHERE type NOT IN ('RelationSet', 'RelationCleared') OR position IN (SELECT position FROM unfed)
),
-- A good sign matters where something fails in the slice or is open: nearly always nowhere.
watched AS (
    SELECT subject FROM marks WHERE fails
    UNION
    SELECT subject FROM reporting.failures
    WHERE msp_id = :msp_id AND generation = :generation AND state <> 'closed' AND attempts > 0
        AND subject = ANY (ARRAY(SELECT subject FROM marks))
),
placed AS (
    SELECT *,
        row_number() OVER rising AS number,
        max(position) FILTER (WHERE NOT fails) OVER rising AS ended_before,
        min(position) FILTER (WHERE NOT fails) OVER (PARTITION BY subject ORDER BY position DESC) AS ends
    FROM marks WHERE subject IN (SELECT subject FROM watched) WINDOW rising AS (PARTITION BY subject ORDER BY position)
),
ended AS (
    UPDATE reporting.failures r
    SET state = 'closed', next_try_at = NULL, closed_at = p.occurred_at,
        closed_by = CASE WHEN p.type = 'RelationCleared' THEN 'withdrawn' ELSE 'went well' END
    FROM placed p
    WHERE p.number = 1 AND NOT p.fails AND r.msp_id = :msp_id AND r.generation = :generation
        AND r.subject = p.subject AND r.state <> 'closed' AND r.attempts > 0
),
lives AS (
    SELECT subject, ended_before, ends, min(position) AS first, max(position) AS last, count(*) AS attempts
    FROM placed WHERE fails GROUP BY subject, ended_before, ends
)
INSERT INTO reporting.failures ({failures.columns})
SELECT :msp_id, :generation, coalesce(r.failure_id, i.subject || '/' || i.first), i.subject, NULL,
    l.payload ->> 'connection_id', l.payload ->> 'company_id', l.payload ->> 'company_name',
    l.payload ->> 'subscription_id', l.payload ->> 'subscription_name',
    l.payload ->> 'resource_id', l.payload ->> 'resource_name',
    l.payload ->> 'psa_connection_id', l.payload ->> 'psa_customer_id', l.payload ->> 'psa_customer_name',
    l.payload ->> 'psa_agreement_id', l.payload ->> 'psa_agreement_name',
    l.payload ->> 'psa_product_id', l.payload ->> 'psa_product_name',
    NULL,
    CASE WHEN l.type = 'PlanRefused' THEN 'plan_refused' ELSE l.payload ->> 'kind' END,
    coalesce(l.payload ->> 'message', l.payload ->> 'reason'),
    l.payload ->> 'fix',
    i.attempts + coalesce(r.attempts, 0),
    coalesce(r.first_failed_at, f.occurred_at),
    l.occurred_at,
    NULL,
    CASE WHEN i.ends IS NULL THEN 'open' ELSE 'closed' END,
    x.occurred_at,
    CASE WHEN x.type = 'RelationCleared' THEN 'withdrawn' WHEN x.type IS NOT NULL THEN 'went well' END
FROM lives i
LEFT JOIN reporting.failures r
    ON i.ended_before IS NULL AND r.msp_id = :msp_id AND r.generation = :generation
    AND r.subject = i.subject AND r.state <> 'closed' AND r.attempts > 0
LEFT JOIN events f ON f.position = i.first
LEFT JOIN events l ON l.position = i.last
LEFT JOIN events x ON x.position = i.ends
{failures.upsert};

-- How many live relations feed each product: when the last is cleared, a refused plan is nobody's trouble any more.
INSERT INTO reporting.fed_products AS p ({fed_products.columns})
SELECT :msp_id, :generation, payload ->> 'psa_connection_id', payload ->> 'psa_product_id',
    sum(CASE type WHEN 'RelationSet' THEN 1 ELSE -1 END)
FROM ({events}) e WHERE type IN ('RelationSet', 'RelationCleared') GROUP BY 3, 4
ON CONFLICT (msp_id, generation, psa_connection_id, psa_product_id)
DO UPDATE SET live_relations = p.live_relations + excluded.live_relations
