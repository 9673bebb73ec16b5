-- One row an event. changes: [{field, before, after}], before and after as text or null; of secrets only that they were replaced.
-- Whoever is neither the recording service itself nor a key for programs is a person.
WITH acts AS (
    SELECT position, type, payload, occurred_at, actor, recorded_by, correlation_id,
        CASE
            WHEN type LIKE 'Relation%' THEN 'relation'
            WHEN type IN ('SubscriptionRenewalSettled', 'AgreementMoveSettled') THEN 'question'
            WHEN type IN ('ResourceExcluded', 'ResourceIncluded') THEN 'resource'
            WHEN type LIKE 'Adjustment%' THEN 'adjustment'
            WHEN type LIKE 'Close%' THEN 'close'
            WHEN type LIKE 'NotificationRule%' THEN 'notification_rule'
            WHEN type LIKE 'User%' THEN 'user'
            WHEN type LIKE 'ApiKey%' THEN 'api_key'
            WHEN type LIKE 'Posting%' THEN 'posting'
            WHEN type LIKE 'Drift%' THEN 'drift'
            WHEN type = 'ConnectionSaved' THEN 'connection'
            WHEN type = 'SecretsResealed' THEN payload ->> 'place'
            WHEN type = 'PolicyChanged' THEN 'policy' ELSE 'msp' END AS object_kind
    FROM ({events}) e
)
INSERT INTO reporting.activity ({activity.columns})
SELECT :msp_id, :generation, position, occurred_at, actor, CASE WHEN actor = recorded_by THEN 'service' WHEN actor LIKE 'api key %' THEN 'api_key' ELSE 'person' END,
    recorded_by,
    CASE type
        WHEN 'SubscriptionRenewalSettled' THEN 'renewal_settled' WHEN 'AgreementMoveSettled' THEN 'agreement_move_settled'
        WHEN 'RelationSet' THEN 'relation_set' WHEN 'RelationCleared' THEN 'relation_cleared'
        WHEN 'RelationSettingsSaved' THEN 'relation_settings_saved'
        WHEN 'RelationFrozen' THEN 'relation_frozen' WHEN 'RelationUnfrozen' THEN 'relation_unfrozen'
        WHEN 'ResourceExcluded' THEN 'resource_excluded' WHEN 'ResourceIncluded' THEN 'resource_included'
        WHEN 'AdjustmentPosted' THEN 'adjustment_posted' WHEN 'AdjustmentParked' THEN 'adjustment_parked'
        WHEN 'AdjustmentReleased' THEN 'adjustment_released' WHEN 'AdjustmentRetried' THEN 'adjustment_retried'
        WHEN 'AdjustmentHeld' THEN 'adjustment_held' WHEN 'AdjustmentApproved' THEN 'adjustment_approved'
        WHEN 'AdjustmentRefused' THEN 'adjustment_refused' WHEN 'AdjustmentMoved' THEN 'adjustment_moved'
        WHEN 'AdjustmentDropped' THEN 'adjustment_dropped'
        WHEN 'CloseCheckAccepted' THEN 'close_check_accepted' WHEN 'CloseSignedOff' THEN 'close_signed_off'
        WHEN 'CloseReopened' THEN 'close_reopened' WHEN 'CloseInvoiced' THEN 'close_invoiced'
        WHEN 'NotificationRuleSaved' THEN 'notification_rule_saved'
        WHEN 'NotificationRuleRemoved' THEN 'notification_rule_removed'
        WHEN 'UserRoleSet' THEN 'user_role_set' WHEN 'UserDisabled' THEN 'user_disabled'
        WHEN 'UserCodesReset' THEN 'user_codes_reset'
        WHEN 'ApiKeyMade' THEN 'api_key_made' WHEN 'ApiKeyRevoked' THEN 'api_key_revoked'
        WHEN 'PostingPaused' THEN 'posting_paused' WHEN 'PostingResumed' THEN 'posting_resumed'
        WHEN 'SecretsResealed' THEN 'secrets_resealed'
        WHEN 'DriftAdopted' THEN 'drift_adopted' WHEN 'DriftOverwritten' THEN 'drift_overwritten'
        WHEN 'ConnectionSaved' THEN 'connection_saved' WHEN 'PolicyChanged' THEN 'policy_changed' ELSE 'msp_added' END,
    object_kind,
    CASE object_kind
        WHEN 'relation' THEN reporting.resource_key(:msp_id, payload) WHEN 'resource' THEN reporting.resource_key(:msp_id, payload)
        WHEN 'adjustment' THEN payload ->> 'request_id'
        WHEN 'connection' THEN coalesce(payload ->> 'connection_id', payload ->> 'place_id') WHEN 'policy' THEN payload ->> 'policy'
        WHEN 'notification_rule' THEN coalesce(payload ->> 'rule_id', payload ->> 'place_id')
        WHEN 'user' THEN payload ->> 'user_id' WHEN 'api_key' THEN payload ->> 'key_id'
        WHEN 'question' THEN CASE WHEN type = 'AgreementMoveSettled'
            THEN 'agreement/' || reporting.key_part(payload ->> 'psa_connection_id') || '/' || reporting.key_part(payload ->> 'psa_agreement_id')
            ELSE 'renewal/' || reporting.key_part(payload ->> 'connection_id') || '/' || reporting.key_part(payload ->> 'subscription_id') END
        WHEN 'drift' THEN concat_ws('/', reporting.key_part(:msp_id), reporting.key_part(payload ->> 'psa_connection_id'),
            reporting.key_part(payload ->> 'psa_product_id'))
        WHEN 'close' THEN reporting.key_part(payload ->> 'psa_connection_id') || '/' || (payload ->> 'period') ELSE :msp_id END,
    CASE object_kind
        WHEN 'notification_rule' THEN coalesce(trim((payload ->> 'channel') || ' ' || (payload ->> 'target')), payload ->> 'kind')
        WHEN 'connection' THEN payload ->> 'kind' WHEN 'msp' THEN payload ->> 'name'
        WHEN 'policy' THEN concat_ws(', ', payload ->> 'policy', 'company ' || (payload ->> 'company_id'),
            'resource ' || (payload ->> 'resource_id'))
        WHEN 'user' THEN payload ->> 'email' WHEN 'api_key' THEN payload ->> 'name'
        WHEN 'posting' THEN 'posting'
        WHEN 'question' THEN coalesce(payload ->> 'subscription_name', payload ->> 'psa_agreement_name')
        WHEN 'drift' THEN payload ->> 'psa_product_name'
        WHEN 'close' THEN payload ->> 'period' ELSE payload ->> 'resource_name' END,
    CASE
        WHEN type = 'RelationSettingsSaved' THEN (
            SELECT coalesce(jsonb_agg(jsonb_build_object('field', field, 'before', before, 'after', after) ORDER BY field), '[]')
            FROM (VALUES
                ('rule', reporting.rule_in_words(payload -> 'previous_settings' -> 'rule'),
                    reporting.rule_in_words(payload -> 'settings' -> 'rule')),
                ('price', reporting.price_in_words(payload -> 'previous_settings' -> 'price'),
                    reporting.price_in_words(payload -> 'settings' -> 'price')),
                ('note', payload -> 'previous_settings' ->> 'note', payload -> 'settings' ->> 'note')
            ) AS settled (field, before, after) WHERE before IS DISTINCT FROM after)
        WHEN type IN ('RelationFrozen', 'RelationUnfrozen') THEN jsonb_build_array(jsonb_build_object('field', 'posting',
            'before', CASE type WHEN 'RelationFrozen' THEN 'running' ELSE 'frozen' END,
            'after', CASE type WHEN 'RelationFrozen' THEN 'frozen' ELSE 'running' END))
        WHEN object_kind = 'resource' THEN jsonb_build_array(jsonb_build_object('field', 'excluded_until',
            'before', NULL,
            'after', CASE type WHEN 'ResourceExcluded' THEN coalesce(payload ->> 'until', 'no end') END))
        WHEN object_kind = 'relation' THEN (
            SELECT jsonb_agg(jsonb_build_object('field', level,
                'before', CASE WHEN type = 'RelationCleared' THEN payload -> (level || '_name') END,
                'after', CASE WHEN type = 'RelationSet' THEN payload -> (level || '_name') END) ORDER BY level)
            FROM unnest(ARRAY['psa_agreement', 'psa_customer', 'psa_product']) AS level)
        WHEN type = 'AdjustmentPosted' THEN jsonb_build_array(
            jsonb_build_object('field', 'units', 'before', payload ->> 'units_before', 'after', payload ->> 'units_after'))
            || CASE WHEN payload -> 'unit_cost_before' IS DISTINCT FROM payload -> 'unit_cost_after' THEN jsonb_build_array(
                jsonb_build_object('field', 'unit_cost',
                    'before', reporting.money_in_words(payload -> 'unit_cost_before'),
                    'after', reporting.money_in_words(payload -> 'unit_cost_after'))) ELSE '[]' END
            || CASE WHEN payload -> 'unit_price_before' IS DISTINCT FROM payload -> 'unit_price_after' THEN jsonb_build_array(
                jsonb_build_object('field', 'unit_price',
                    'before', reporting.money_in_words(payload -> 'unit_price_before'),
                    'after', reporting.money_in_words(payload -> 'unit_price_after'))) ELSE '[]' END
            || jsonb_build_array(
                jsonb_build_object('field', 'effective_date', 'before', NULL, 'after', payload ->> 'effective_date'))
        WHEN type = 'AdjustmentApproved' THEN jsonb_build_array(
            jsonb_build_object('field', 'units', 'before', payload ->> 'units_before', 'after', payload ->> 'target_units'),
            jsonb_build_object('field', 'approvals', 'before', NULL,
                'after', (payload ->> 'nth') || ' of ' || (payload ->> 'people_needed')),
            jsonb_build_object('field', 'effective', 'before', NULL, 'after', payload -> 'effective'))
        WHEN type = 'AdjustmentHeld' THEN jsonb_build_array(
            jsonb_build_object('field', 'units', 'before', payload ->> 'units_before', 'after', payload ->> 'target_units'),
            jsonb_build_object('field', 'rule', 'before', NULL, 'after', payload -> 'rule'))
        WHEN type IN ('AdjustmentRefused', 'AdjustmentMoved', 'AdjustmentDropped') THEN jsonb_build_array(
            jsonb_build_object('field', 'target_units', 'before', NULL, 'after', payload ->> 'target_units'))
        WHEN object_kind = 'adjustment' THEN jsonb_build_array(
            jsonb_build_object('field', 'target_units', 'before', NULL, 'after', payload ->> 'target_units'),
            jsonb_build_object('field', 'kind',
                'before', CASE WHEN type <> 'AdjustmentParked' THEN payload -> 'kind' END,
                'after', CASE WHEN type = 'AdjustmentParked' THEN payload -> 'kind' END))
        WHEN type = 'CloseCheckAccepted' THEN jsonb_build_array(
            jsonb_build_object('field', payload ->> 'check', 'before', payload -> 'state', 'after', 'accepted'),
            jsonb_build_object('field', 'rows', 'before', NULL, 'after', payload ->> 'rows'))
        WHEN object_kind = 'close' THEN jsonb_build_array(jsonb_build_object('field', 'state',
            'before', CASE type WHEN 'CloseSignedOff' THEN 'open' WHEN 'CloseInvoiced' THEN 'signed_off' END,
            'after', CASE type WHEN 'CloseSignedOff' THEN 'signed_off' WHEN 'CloseReopened' THEN 'open' ELSE 'invoiced' END))
        WHEN object_kind = 'question' THEN jsonb_build_array(jsonb_build_object('field', 'continued_by', 'before', NULL,
            'after', coalesce(payload ->> 'continued_by_name', payload ->> 'moved_to_name')))
        WHEN object_kind = 'drift' THEN jsonb_build_array(jsonb_build_object('field', 'target_units',
            'before', CASE type WHEN 'DriftAdopted' THEN payload ->> 'target_units' ELSE payload ->> 'units' END,
            'after', CASE type WHEN 'DriftAdopted' THEN payload ->> 'units' ELSE payload ->> 'target_units' END))
        WHEN object_kind = 'posting' THEN jsonb_build_array(jsonb_build_object('field', 'posting',
            'before', CASE type WHEN 'PostingPaused' THEN 'running' ELSE 'paused' END,
            'after', CASE type WHEN 'PostingPaused' THEN 'paused' ELSE 'running' END))
        WHEN type = 'UserCodesReset' THEN jsonb_build_array(
            jsonb_build_object('field', 'one_time_codes', 'before', 'on', 'after', 'off'))
        WHEN object_kind = 'user' THEN jsonb_build_array(jsonb_build_object('field', 'role',
            'before', payload ->> 'previous_role', 'after', payload ->> 'role'))
        WHEN type = 'ApiKeyMade' THEN jsonb_build_array(
            jsonb_build_object('field', 'ends_at', 'before', NULL, 'after', payload ->> 'ends_at'),
            jsonb_build_object('field', 'scopes', 'before', NULL, 'after', (SELECT string_agg(scope, ', ' ORDER BY n)
                FROM jsonb_array_elements_text(payload -> 'scopes') WITH ORDINALITY AS k (scope, n))))
        WHEN type = 'SecretsResealed' THEN (
            SELECT jsonb_agg(jsonb_build_object('field', secret, 'before', NULL, 'after', 'resealed') ORDER BY n)
            FROM jsonb_array_elements_text(payload -> 'secrets') WITH ORDINALITY AS s (secret, n))
        WHEN type IN ('NotificationRuleRemoved', 'ApiKeyRevoked') THEN '[]'
        WHEN type = 'NotificationRuleSaved' THEN jsonb_build_array(jsonb_build_object('field', 'kinds', 'before', NULL,
                'after', (SELECT string_agg(kind, ', ' ORDER BY n)
                    FROM jsonb_array_elements_text(payload -> 'kinds') WITH ORDINALITY AS k (kind, n))))
            || CASE WHEN (payload ->> 'replaced_secret')::boolean THEN jsonb_build_array(
                jsonb_build_object('field', 'secret', 'before', NULL, 'after', 'replaced')) ELSE '[]' END
        WHEN object_kind = 'policy' THEN jsonb_build_array(jsonb_build_object(
            'field', payload ->> 'policy', 'before', payload ->> 'previous_value', 'after', payload ->> 'value'))
        WHEN object_kind = 'connection' THEN (
            SELECT coalesce(jsonb_agg(jsonb_build_object('field', field, 'before', NULL, 'after', became)
                ORDER BY became, field), '[]')
            FROM (SELECT jsonb_array_elements_text(payload -> 'changed_settings') AS field, 'changed' AS became
                UNION ALL SELECT jsonb_array_elements_text(payload -> 'replaced_secrets'), 'replaced') given)
        ELSE jsonb_build_array(
            jsonb_build_object('field', 'name', 'before', NULL, 'after', payload ->> 'name'),
            jsonb_build_object('field', 'time_zone', 'before', NULL, 'after', payload ->> 'time_zone')) END,
    coalesce(payload ->> 'reason', payload ->> 'message', nullif(payload ->> 'comment', '')),
    correlation_id
FROM acts
