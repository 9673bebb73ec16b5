-- A poll that did not read the lists whole, or left out what it had chosen, is no reading. The newest in the log wins.
INSERT INTO reporting.readings ({readings.columns})
SELECT DISTINCT ON (connection_id) :msp_id, :generation, connection_id, occurred_at
FROM (
    SELECT coalesce(payload ->> 'connection_id', payload ->> 'psa_connection_id') AS connection_id, occurred_at, position
    FROM ({events}) e WHERE type <> 'PollCompleted' OR (payload ->> 'complete')::boolean
) read
ORDER BY connection_id, position DESC
{readings.upsert};

-- The last poll of each connection that came to its end, whole or not.
INSERT INTO reporting.last_polls ({last_polls.columns})
SELECT DISTINCT ON (payload ->> 'connection_id') :msp_id, :generation, payload ->> 'connection_id', occurred_at,
    (payload ->> 'complete')::boolean, (payload ->> 'subscriptions')::integer, (payload ->> 'changes')::integer
FROM ({events}) e WHERE type = 'PollCompleted'
ORDER BY payload ->> 'connection_id', position DESC
{last_polls.upsert}
