-- One row for each endpoint that was called in a stretch of time.
INSERT INTO reporting.api_calls ({api_calls.columns})
SELECT :msp_id, :generation, position, payload ->> 'connection_id', c ->> 'endpoint', (payload ->> 'since')::timestamptz,
    (payload ->> 'seconds')::integer, (c ->> 'calls')::integer, (c ->> 'failed')::integer, (c ->> 'limited')::integer,
    (c ->> 'p50_milliseconds')::integer, (c ->> 'p95_milliseconds')::integer, (c ->> 'slowest_milliseconds')::integer
FROM ({events}) e CROSS JOIN LATERAL jsonb_array_elements(payload -> 'endpoints') AS c
