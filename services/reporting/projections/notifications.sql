-- Troubles. A subject is told of when its trouble begins or becomes another, not each time it is met again; a good sign ends it.
-- What a person let go counts as a good sign: held once more, it is told once more.
WITH events AS MATERIALIZED (
    SELECT position, type, occurred_at, payload ->> 'request_id' AS request_id, payload ->> 'connection_id' AS connection_id,
        payload ->> 'psa_connection_id' AS psa_connection_id, payload ->> 'psa_product_id' AS psa_product_id,
        -- Whole are kept the few that may be told: most are good signs.
        CASE WHEN type IN ('AdjustmentFailed', 'AdjustmentParked', 'AdjustmentHeld', 'PlanRefused', 'PollFailed', 'PollCompleted',
            'CatalogueReadFailed') THEN payload END AS payload
    FROM ({events}) e
    WHERE type IN ('AdjustmentFailed', 'AdjustmentParked', 'AdjustmentReleased', 'AdjustmentRetried', 'AdjustmentSuperseded',
            'UnitsFoundEqual', 'PlanRefused', 'AdjustmentRequested', 'RelationCleared', 'PollFailed', 'PollCompleted',
            'CatalogueReadFailed', 'CatalogueRead', 'AdjustmentHeld', 'AdjustmentRefused', 'AdjustmentMoved', 'AdjustmentDropped',
            'AdjustmentShadowed')
        OR (type = 'AdjustmentPosted' AND (payload ->> 'completes_request')::boolean)
        -- Of two people the first ends nothing.
        OR (type = 'AdjustmentApproved' AND payload -> 'nth' = payload -> 'people_needed')
),
marks AS (
    SELECT position, 'adjustment/' || request_id AS subject,
        CASE type WHEN 'AdjustmentFailed' THEN 'failed/' || (payload ->> 'kind')
            WHEN 'AdjustmentParked' THEN 'held/' || (payload ->> 'kind')
            WHEN 'AdjustmentHeld' THEN 'held/' || (payload ->> 'rule') END AS trouble
    FROM events WHERE type LIKE 'Adjustment%' AND type <> 'AdjustmentRequested' OR type = 'UnitsFoundEqual'
    UNION ALL
    SELECT position, 'plan/' || reporting.key_part(psa_connection_id) || '/' || reporting.key_part(psa_product_id),
        CASE type WHEN 'PlanRefused' THEN 'plan_refused' END
    FROM events WHERE type IN ('PlanRefused', 'AdjustmentRequested', 'RelationCleared')
    UNION ALL
    SELECT position, 'poll/' || reporting.key_part(connection_id),
        CASE type WHEN 'PollFailed' THEN 'poll_failed/' || (payload ->> 'kind') END
    FROM events WHERE type IN ('PollFailed', 'PollCompleted')
    UNION ALL
    SELECT position, 'quota/' || reporting.key_part(connection_id),
        CASE WHEN (payload ->> 'subscriptions_put_off')::integer > 0 THEN 'quota_low' END
    FROM events WHERE type = 'PollCompleted'
    UNION ALL
    SELECT position, 'catalogue/' || reporting.key_part(psa_connection_id),
        CASE type WHEN 'CatalogueReadFailed' THEN 'catalogue_failed/' || (payload ->> 'kind') END
    FROM events WHERE type IN ('CatalogueReadFailed', 'CatalogueRead')
),
placed AS (
    SELECT *, row_number() OVER rising AS number, lag(trouble) OVER rising AS before,
        lead(position) OVER rising IS NULL AS last
    FROM marks WINDOW rising AS (PARTITION BY subject ORDER BY position)
),
news AS (
    SELECT p.position, p.subject, p.trouble, split_part(p.trouble, '/', 1) AS kind
    FROM placed p LEFT JOIN reporting.told_troubles t
        ON p.number = 1 AND t.msp_id = :msp_id AND t.generation = :generation AND t.subject = p.subject
    WHERE p.trouble IS DISTINCT FROM CASE p.number WHEN 1 THEN t.trouble ELSE p.before END AND p.trouble IS NOT NULL
),
ended AS (
    DELETE FROM reporting.told_troubles t USING placed p
    WHERE p.last AND p.trouble IS NULL AND t.msp_id = :msp_id AND t.generation = :generation AND t.subject = p.subject
),
stands AS (
    INSERT INTO reporting.told_troubles ({told_troubles.columns})
    SELECT :msp_id, :generation, subject, trouble FROM placed WHERE last AND trouble IS NOT NULL
    {told_troubles.upsert}
)
INSERT INTO reporting.notifications ({notifications.columns})
SELECT :msp_id, :generation, n.position, n.kind, e.occurred_at,
    CASE WHEN n.kind IN ('held', 'plan_refused') OR n.trouble LIKE '%/unauthorised' THEN 'action' ELSE 'warning' END,
    n.trouble,
    CASE WHEN n.kind IN ('poll_failed', 'quota_low') THEN 'Marketplace connection ' || (e.payload ->> 'connection_id')
        WHEN n.kind = 'catalogue_failed' THEN 'PSA connection ' || (e.payload ->> 'psa_connection_id')
        ELSE (e.payload ->> 'resource_name') || ' of ' || (e.payload ->> 'company_name') END,
    1,
    CASE WHEN n.kind = 'quota_low' THEN (e.payload ->> 'subscriptions_put_off')
            || ' of its subscriptions are read later, to stay within the call budget'
        ELSE coalesce(e.payload ->> 'message', e.payload ->> 'reason') END,
    CASE e.type WHEN 'AdjustmentHeld' THEN 'Approve it, or refuse it with a reason.' ELSE e.payload ->> 'fix' END,
    CASE WHEN e.type = 'AdjustmentHeld' THEN 'held_adjustments' WHEN n.kind = 'quota_low' THEN 'api_calls' ELSE 'failures' END,
    CASE WHEN n.kind IN ('failed', 'held') THEN 'request_id' WHEN n.kind = 'quota_low' THEN 'connection_id' ELSE 'subject' END,
    CASE WHEN n.kind IN ('failed', 'held') THEN e.payload ->> 'request_id'
        WHEN n.kind = 'quota_low' THEN e.payload ->> 'connection_id' ELSE n.subject END
FROM news n JOIN events e USING (position);

-- Our own words on the units of products, by which drift is known. As in ledger.sql: our newest word up to a day holds from its
-- own day on, and what we had posted before it for days in between comes on top.
INSERT INTO reporting.our_units ({our_units.columns})
SELECT :msp_id, :generation, payload ->> 'psa_connection_id', payload ->> 'psa_product_id', position,
    coalesce(payload ->> 'effective_date', payload ->> 'on_date')::date,
    coalesce(payload ->> 'units_after', payload ->> 'units')::integer, coalesce((payload ->> 'unit_change')::integer, 0)
FROM ({events}) e WHERE type IN ('AdjustmentPosted', 'UnitsFoundEqual', 'DriftAdopted');

INSERT INTO reporting.notifications ({notifications.columns})
SELECT :msp_id, :generation, e.position, 'drift', e.occurred_at, 'action', 'drift',
    (e.payload ->> 'psa_product_name') || ' of ' || (e.payload ->> 'psa_customer_name'), 1,
    'the PSA has ' || (e.payload ->> 'units') || ' units, and we left ' || l.units, NULL,
    'drift', 'psa_product_id', e.payload ->> 'psa_product_id'
FROM ({events}) e
CROSS JOIN LATERAL (
    SELECT w.units + (
        SELECT coalesce(sum(p.unit_change), 0) FROM reporting.our_units p
        WHERE p.msp_id = :msp_id AND p.generation = :generation AND p.psa_connection_id = e.payload ->> 'psa_connection_id'
            AND p.psa_product_id = e.payload ->> 'psa_product_id'
            AND p.position < w.position AND p.on_date > w.on_date AND p.on_date <= (e.payload ->> 'on_date')::date
    ) AS units
    FROM reporting.our_units w
    WHERE w.msp_id = :msp_id AND w.generation = :generation AND w.psa_connection_id = e.payload ->> 'psa_connection_id'
        AND w.psa_product_id = e.payload ->> 'psa_product_id'
        AND w.position < e.position AND w.on_date <= (e.payload ->> 'on_date')::date
    ORDER BY w.position DESC LIMIT 1
) l
WHERE e.type = 'PsaUnitsObserved' AND l.units <> (e.payload ->> 'units')::integer;

-- Resources that a poll found, told once when it ends: by then renewals are known, to whose resources the relations follow.
WITH events AS MATERIALIZED ({events}),
told AS (SELECT position, payload ->> 'connection_id' AS connection_id FROM events WHERE type = 'PollCompleted'),
steps AS (
    SELECT position, type, payload ->> 'connection_id' AS connection_id, payload ->> 'subscription_id' AS subscription_id,
        CASE WHEN type <> 'SubscriptionRenewed' THEN reporting.resource_key(:msp_id, payload) END AS resource_key,
        (payload ->> 'resource_name') || ' of ' || (payload ->> 'company_name') AS about,
        type = 'ResourceDiscovered' AND NOT (payload ->> 'usage_based')::boolean AS found
    FROM events WHERE type IN ('ResourceDiscovered', 'ResourceDisappeared', 'RelationSet', 'SubscriptionRenewed')
),
waiting AS (
    SELECT r.* FROM reporting.found_resources r
    WHERE r.msp_id = :msp_id AND r.generation = :generation AND r.connection_id IN (SELECT connection_id FROM told)
    UNION
    SELECT r.* FROM steps s JOIN reporting.found_resources r
        ON r.msp_id = :msp_id AND r.generation = :generation
        AND r.connection_id = s.connection_id AND r.subscription_id = s.subscription_id
        AND (s.resource_key IS NULL OR r.resource_key = s.resource_key)
),
placed AS (
    SELECT *,
        min(position) FILTER (WHERE type = 'PollCompleted') OVER (PARTITION BY connection_id ORDER BY position DESC) AS told_at,
        min(position) FILTER (WHERE type <> 'PollCompleted') OVER (
            PARTITION BY connection_id, subscription_id, resource_key ORDER BY position DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ended_at,
        min(position) FILTER (WHERE type = 'SubscriptionRenewed') OVER (
            PARTITION BY connection_id, subscription_id ORDER BY position DESC) AS renewed_at
    FROM (
        SELECT position, type, connection_id, subscription_id, resource_key, about, found FROM steps
        UNION ALL
        SELECT position, 'ResourceDiscovered', connection_id, subscription_id, resource_key, about, true FROM waiting
        UNION ALL
        SELECT position, 'PollCompleted', connection_id, NULL, NULL, NULL, false FROM told
    ) marks
),
found AS (SELECT *, least(ended_at, renewed_at) AS gone_at FROM placed WHERE found),
settled AS (
    DELETE FROM reporting.found_resources r USING found f
    WHERE coalesce(f.gone_at, f.told_at) IS NOT NULL AND r.msp_id = :msp_id AND r.generation = :generation
        AND r.connection_id = f.connection_id AND r.subscription_id = f.subscription_id AND r.resource_key = f.resource_key
        AND r.position = f.position
        AND NOT EXISTS (SELECT FROM found o WHERE o.resource_key = f.resource_key AND o.gone_at IS NULL AND o.told_at IS NULL)
),
waits AS (
    INSERT INTO reporting.found_resources ({found_resources.columns})
    SELECT :msp_id, :generation, connection_id, subscription_id, resource_key, position, about
    FROM found WHERE gone_at IS NULL AND told_at IS NULL
    {found_resources.upsert}
)
INSERT INTO reporting.notifications ({notifications.columns})
SELECT :msp_id, :generation, f.told_at, 'unlinked_found', e.occurred_at, 'info', 'unlinked_found',
    (array_agg(f.about ORDER BY f.position, f.resource_key))[1], count(*), 'found in ODIN and linked to nothing', NULL,
    'unlinked', NULL, NULL
FROM found f JOIN events e ON e.position = f.told_at
WHERE f.gone_at IS NULL OR f.gone_at > f.told_at
GROUP BY f.told_at, e.occurred_at;

INSERT INTO reporting.notifications ({notifications.columns})
SELECT :msp_id, :generation, position, 'renewal_unclear', occurred_at, 'action', 'renewal_unclear',
    (payload ->> 'subscription_name') || ' of ' || (payload ->> 'company_name'), 1,
    'it ended, and ' || jsonb_array_length(payload -> 'candidates') || ' subscriptions could be its renewal', NULL,
    'questions', 'subject_id', payload ->> 'subscription_id'
FROM ({events}) e WHERE type = 'SubscriptionRenewalUnclear';

INSERT INTO reporting.notifications ({notifications.columns})
SELECT :msp_id, :generation, position, 'agreement_unclear', occurred_at, 'action', 'agreement_unclear',
    (payload ->> 'psa_agreement_name') || ' of ' || (payload ->> 'psa_customer_name'), 1,
    'it ended with ' || (payload ->> 'relations') || ' relations on it, and '
        || jsonb_array_length(payload -> 'candidates') || ' agreements could continue it', NULL,
    'questions', 'subject_id', payload ->> 'psa_agreement_id'
FROM ({events}) e WHERE type = 'AgreementMoveUnclear';

-- What the house told of its own work. Each event tells something new: whoever appends it knows what was told before.
WITH words (consumer, what, report, model) AS (VALUES
    ('reporting.resources', 'The reports Subscriptions, Linked and Unlinked', 'subscriptions', 'resources'),
    ('reporting.relations', 'The report of relations', 'relations', 'relations'),
    ('reporting.adjustments', 'The adjustment log and the requests', 'adjustments', 'adjustments'),
    ('reporting.failures', 'The failure log', 'failures', 'failures'),
    ('reporting.held', 'What is held, and what shadow mode would post', 'held_adjustments', 'held'),
    ('reporting.psa', 'The PSA''s customers, agreements and products', 'psa_products', 'psa'),
    ('reporting.counts', 'The history of counts', 'counts', 'counts'),
    ('reporting.ledger', 'The reports Drift and Ledger', 'drift', 'ledger'),
    ('reporting.activity', 'The report of activities', 'activities', 'activity'),
    ('reporting.questions', 'The report of questions', 'questions', 'questions'),
    ('reporting.days', 'The report of days', 'days', 'days'),
    ('reporting.calls', 'The calls to outside APIs', 'api_calls', 'calls'),
    ('reporting.close', 'What was decided at closes', 'close_acts', 'close'),
    ('reporting.readings', 'When each side was last read', 'close', 'readings'),
    ('reporting.notifications', 'Notifications', 'notifications', 'notifications'),
    ('reporting.deliveries', 'Mails and webhooks', 'webhook_deliveries', NULL),
    ('mapping.relations', 'Linking of what is new', 'unlinked', NULL),
    ('reconciler.plans', 'Asking for adjustments', 'drift', NULL),
    ('requests', 'Posting of new adjustments', 'requests', NULL)
),
told AS (
    SELECT position, type, occurred_at, payload, payload ->> 'consumer' AS consumer FROM ({events}) e
    WHERE type IN ('ConsumerStopped', 'ConsumerResumed', 'PollLate')
        OR (type = 'CloseDue' AND jsonb_array_length(payload -> 'red') > 0)
)
INSERT INTO reporting.notifications ({notifications.columns})
SELECT :msp_id, :generation, t.position, k.kind, t.occurred_at,
    CASE t.type WHEN 'PollLate' THEN 'warning' WHEN 'ConsumerResumed' THEN 'info' ELSE 'action' END,
    k.kind,
    CASE t.type WHEN 'PollLate' THEN 'Marketplace connection ' || (payload ->> 'connection_id')
        WHEN 'CloseDue' THEN 'Close of ' || (payload ->> 'period') || ' for PSA connection ' || (payload ->> 'psa_connection_id')
        ELSE coalesce(w.what, t.consumer) END,
    1,
    CASE t.type
        WHEN 'ConsumerStopped' THEN 'standing still since ' || k.moment || ', for ' || t.consumer
            || ' cannot take the event at position ' || ((payload ->> 'position')::bigint + 1) || ', '
            || (payload ->> 'event_type') || ' version ' || (payload ->> 'event_version') || ' (' || (payload ->> 'fault')
            || '). Nothing is lost'
        WHEN 'ConsumerResumed' THEN t.consumer || ' goes on, and left nothing out'
        WHEN 'PollLate' THEN 'its poll was due at ' || k.moment || ' and has not come; counts stand as they were read before'
        ELSE 'its invoice is due on ' || (payload ->> 'due_on') || ', and red are: '
            || (SELECT string_agg(title, ', ' ORDER BY n) FROM jsonb_array_elements_text(payload -> 'red')
                WITH ORDINALITY AS r (title, n)) END,
    CASE t.type
        WHEN 'ConsumerStopped' THEN 'Upgrade Trueup: it then goes on by itself. If that does not help, '
            || coalesce('try `trueup replay ' || w.model || '`, or ', '') || 'call support with this text.'
        WHEN 'PollLate' THEN 'See that the poller runs: `trueup doctor` says what is wrong. It then polls by itself.'
        WHEN 'CloseDue' THEN 'Mend what the checks show, or accept each with a reason.' END,
    CASE t.type WHEN 'PollLate' THEN 'api_calls' WHEN 'CloseDue' THEN 'close' ELSE coalesce(w.report, 'notifications') END,
    CASE t.type WHEN 'PollLate' THEN 'connection_id' WHEN 'CloseDue' THEN 'period' END,
    CASE t.type WHEN 'PollLate' THEN payload ->> 'connection_id' WHEN 'CloseDue' THEN payload ->> 'period' END
FROM told t
CROSS JOIN LATERAL (
    SELECT CASE t.type WHEN 'ConsumerStopped' THEN 'consumer_stopped' WHEN 'ConsumerResumed' THEN 'consumer_resumed'
            WHEN 'PollLate' THEN 'poll_late' ELSE 'close_red' END AS kind,
        to_char(coalesce((payload ->> 'due_at')::timestamptz, t.occurred_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
            || ' UTC' AS moment
) k
LEFT JOIN words w ON w.consumer = t.consumer
