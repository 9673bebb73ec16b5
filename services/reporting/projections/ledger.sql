-- One row for each word on the units of a product: posted and found_equal are ours, from on_date on; read is what the PSA had on
-- that day. What the units are on a day follows from the rows: see reports/drift.py.
INSERT INTO reporting.ledger ({ledger.columns})
SELECT :msp_id, :generation, payload ->> 'psa_connection_id', payload ->> 'psa_product_id', position,
    CASE type WHEN 'AdjustmentPosted' THEN 'posted' WHEN 'UnitsFoundEqual' THEN 'found_equal' ELSE 'read' END,
    coalesce(payload ->> 'effective_date', payload ->> 'on_date')::date,
    coalesce(payload ->> 'units_after', payload ->> 'units')::integer,
    (payload ->> 'unit_change')::integer,
    occurred_at, payload ->> 'request_id'
FROM ({events}) e
