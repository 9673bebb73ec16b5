-- The newest question on each subject stands, with the first word that settled it; what was settled without a question leaves
-- no row.
WITH told AS MATERIALIZED (
    SELECT position, occurred_at, actor, payload,
        CASE WHEN type LIKE 'Subscription%' THEN 'renewal' ELSE 'agreement' END AS kind,
        type LIKE '%Unclear' AS asks,
        CASE WHEN type LIKE 'Subscription%' THEN payload ->> 'connection_id' ELSE payload ->> 'psa_connection_id' END AS connection_id,
        CASE WHEN type LIKE 'Subscription%' THEN payload ->> 'subscription_id' ELSE payload ->> 'psa_agreement_id' END AS subject_id
    FROM ({events}) e
),
words AS (
    SELECT *, kind || '/' || reporting.key_part(connection_id) || '/' || reporting.key_part(subject_id) AS question_id FROM told
),
asked AS (SELECT question_id, max(position) FILTER (WHERE asks) AS asked FROM words GROUP BY question_id),
newest AS (
    SELECT a.question_id, a.asked, min(w.position) AS settled
    FROM asked a LEFT JOIN words w ON w.question_id = a.question_id AND NOT w.asks AND w.position > coalesce(a.asked, 0)
    GROUP BY a.question_id, a.asked
),
answered AS (
    UPDATE reporting.questions q
    SET state = 'settled', settled_at = w.occurred_at, settled_by = w.actor,
        answer_id = coalesce(w.payload ->> 'continued_by', w.payload ->> 'moved_to'),
        answer_name = coalesce(w.payload ->> 'continued_by_name', w.payload ->> 'moved_to_name'), reason = w.payload ->> 'reason'
    FROM newest n JOIN words w ON w.position = n.settled
    WHERE n.asked IS NULL AND q.msp_id = :msp_id AND q.generation = :generation AND q.question_id = n.question_id
        AND q.state = 'open'
)
INSERT INTO reporting.questions ({questions.columns})
SELECT :msp_id, :generation, n.question_id, a.kind, a.connection_id,
    coalesce(a.payload ->> 'company_id', a.payload ->> 'psa_customer_id'),
    coalesce(a.payload ->> 'company_name', a.payload ->> 'psa_customer_name'),
    a.subject_id, coalesce(a.payload ->> 'subscription_name', a.payload ->> 'psa_agreement_name'),
    (SELECT jsonb_agg(jsonb_build_object('id', coalesce(c ->> 'subscription_id', c ->> 'psa_agreement_id'),
        'name', coalesce(c ->> 'subscription_name', c ->> 'psa_agreement_name'), 'evidence', c -> 'evidence') ORDER BY place)
        FROM jsonb_array_elements(a.payload -> 'candidates') WITH ORDINALITY AS given (c, place)),
    CASE WHEN s.position IS NULL THEN 'open' ELSE 'settled' END, a.occurred_at, s.occurred_at, s.actor,
    coalesce(s.payload ->> 'continued_by', s.payload ->> 'moved_to'),
    coalesce(s.payload ->> 'continued_by_name', s.payload ->> 'moved_to_name'), s.payload ->> 'reason'
FROM newest n JOIN words a ON a.position = n.asked LEFT JOIN words s ON s.position = n.settled
{questions.upsert}
