-- One row an act. exceptions: the checks that were not green when it was signed off.
INSERT INTO reporting.close_acts ({close_acts.columns})
SELECT :msp_id, :generation, payload ->> 'psa_connection_id', payload ->> 'period', position,
    CASE type
        WHEN 'CloseCheckAccepted' THEN 'check_accepted' WHEN 'CloseSignedOff' THEN 'signed_off'
        WHEN 'CloseReopened' THEN 'reopened' ELSE 'invoiced' END,
    occurred_at, actor, payload ->> 'check', payload ->> 'title', (payload ->> 'rows')::integer,
    CASE WHEN type = 'CloseSignedOff' THEN (
        SELECT count(*) FROM jsonb_array_elements(payload -> 'checks') AS told WHERE told ->> 'state' <> 'green')::integer END,
    (payload ->> 'position')::bigint, payload ->> 'reason'
FROM ({events}) e
