-- One row for each word on the units of a product: posted, found_equal and adopted are ours, from on_date on; read is what the PSA
-- had on that day.
INSERT INTO reporting.ledger ({ledger.columns})
SELECT :msp_id, :generation, payload ->> 'psa_connection_id', payload ->> 'psa_product_id', position,
    CASE type WHEN 'AdjustmentPosted' THEN 'posted' WHEN 'UnitsFoundEqual' THEN 'found_equal' WHEN 'DriftAdopted' THEN 'adopted' ELSE 'read' END,
    coalesce(payload ->> 'effective_date', payload ->> 'on_date')::date,
    coalesce(payload ->> 'units_after', payload ->> 'units')::integer,
    (payload ->> 'unit_change')::integer,
    occurred_at, payload ->> 'request_id'
FROM ({events}) e
-- Those of one product stand together: each reading looks through them.
ORDER BY 3, 4, 5;

-- What follows from it for each product that something was said of. read: the newest reading; a post that was in force when it was
-- told was read back and is one as well. left: what we know we left on the day of that reading; settled: once all that we posted
-- counts. Our newest word up to a day holds from its own day on, and what we had posted before it for days in between comes on top. While
-- all our words are of later days, we left what was read by the time of the newest.
WITH touched AS (
    SELECT DISTINCT payload ->> 'psa_connection_id' AS psa_connection_id, payload ->> 'psa_product_id' AS psa_product_id
    FROM ({events}) e
),
zone AS (SELECT time_zone FROM setup.msps WHERE msp_id = :msp_id)
INSERT INTO reporting.product_units ({product_units.columns})
SELECT :msp_id, :generation, t.psa_connection_id, t.psa_product_id, r.units, r.day, r.told_at, coalesce(o.units, f.units), s.units, s.told_at
FROM touched t CROSS JOIN zone
LEFT JOIN LATERAL (
    SELECT e.units, e.told_at, CASE e.kind WHEN 'read' THEN e.on_date ELSE (e.told_at AT TIME ZONE time_zone)::date END AS day
    FROM reporting.ledger e
    WHERE e.msp_id = :msp_id AND e.generation = :generation
        AND e.psa_connection_id = t.psa_connection_id AND e.psa_product_id = t.psa_product_id
        AND (e.kind = 'read' OR e.on_date <= (e.told_at AT TIME ZONE time_zone)::date)
    ORDER BY e.position DESC LIMIT 1
) r ON true
LEFT JOIN LATERAL (
    SELECT e.units + (
        SELECT coalesce(sum(p.unit_change), 0) FROM reporting.ledger p
        WHERE p.msp_id = :msp_id AND p.generation = :generation
            AND p.psa_connection_id = t.psa_connection_id AND p.psa_product_id = t.psa_product_id
            AND p.position < e.position AND p.on_date > e.on_date AND p.on_date <= r.day
    ) AS units
    FROM reporting.ledger e
    WHERE e.msp_id = :msp_id AND e.generation = :generation
        AND e.psa_connection_id = t.psa_connection_id AND e.psa_product_id = t.psa_product_id
        AND e.kind <> 'read' AND e.on_date <= r.day
    ORDER BY e.position DESC LIMIT 1
) o ON true
LEFT JOIN LATERAL (
    SELECT f.units FROM reporting.ledger f
    WHERE o.units IS NULL AND f.msp_id = :msp_id AND f.generation = :generation
        AND f.psa_connection_id = t.psa_connection_id AND f.psa_product_id = t.psa_product_id AND f.kind = 'read'
        AND f.told_at <= (
            SELECT e.told_at FROM reporting.ledger e
            WHERE e.msp_id = :msp_id AND e.generation = :generation
                AND e.psa_connection_id = t.psa_connection_id AND e.psa_product_id = t.psa_product_id AND e.kind <> 'read'
            ORDER BY e.position DESC LIMIT 1
        )
    ORDER BY f.position DESC LIMIT 1
) f ON true
LEFT JOIN LATERAL (
    SELECT e.told_at, e.units + (
        SELECT coalesce(sum(p.unit_change), 0) FROM reporting.ledger p
        WHERE p.msp_id = :msp_id AND p.generation = :generation
            AND p.psa_connection_id = t.psa_connection_id AND p.psa_product_id = t.psa_product_id
            AND p.position < e.position AND p.on_date > e.on_date
    ) AS units
    FROM reporting.ledger e
    WHERE e.msp_id = :msp_id AND e.generation = :generation
        AND e.psa_connection_id = t.psa_connection_id AND e.psa_product_id = t.psa_product_id AND e.kind <> 'read'
    ORDER BY e.position DESC LIMIT 1
) s ON true
{product_units.upsert};

-- Readings that showed more units than we know we had left on that day.
INSERT INTO reporting.excesses ({excesses.columns})
SELECT :msp_id, :generation, r.psa_connection_id, r.psa_product_id, r.position, r.told_at, r.units - l.units
FROM (
    SELECT payload ->> 'psa_connection_id' AS psa_connection_id, payload ->> 'psa_product_id' AS psa_product_id, position,
        occurred_at AS told_at, (payload ->> 'units')::integer AS units, (payload ->> 'on_date')::date AS day
    FROM ({events}) e WHERE type = 'PsaUnitsObserved'
) r
CROSS JOIN LATERAL (
    SELECT e.units + (
        SELECT coalesce(sum(p.unit_change), 0) FROM reporting.ledger p
        WHERE p.msp_id = :msp_id AND p.generation = :generation
            AND p.psa_connection_id = r.psa_connection_id AND p.psa_product_id = r.psa_product_id
            AND p.position < e.position AND p.on_date > e.on_date AND p.on_date <= r.day
    ) AS units
    FROM reporting.ledger e
    WHERE e.msp_id = :msp_id AND e.generation = :generation
        AND e.psa_connection_id = r.psa_connection_id AND e.psa_product_id = r.psa_product_id
        AND e.kind <> 'read' AND e.on_date <= r.day AND e.position < r.position
    ORDER BY e.position DESC LIMIT 1
) l
WHERE r.units > l.units
