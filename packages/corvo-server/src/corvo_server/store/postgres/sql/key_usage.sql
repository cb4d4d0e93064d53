-- name: create_key_usage
-- The row with writer '' is the one that lock_key_usage locks.
INSERT INTO key_usage (name, writer, waiting, bytes)
SELECT name, '', 0, 0 FROM json_array_elements_text(%s) AS new (name)
ORDER BY name COLLATE "C"
ON CONFLICT DO NOTHING;

-- name: lock_key_usage
SELECT name FROM key_usage
WHERE writer = '' AND name IN (SELECT json_array_elements_text(%s) COLLATE "C")
ORDER BY name
FOR UPDATE;

-- name: find_key_usage
-- Runs after lock_key_usage as a separate statement, so that it sees the enqueues of the
-- transactions that held the locks before.
SELECT name, sum(waiting)::bigint, sum(bytes)::bigint FROM key_usage
WHERE name IN (SELECT json_array_elements_text(%s) COLLATE "C")
GROUP BY name;

-- name: add_key_usage
INSERT INTO key_usage AS u (name, writer, waiting, bytes)
SELECT name, %s, waiting, bytes
FROM json_to_recordset(%s) AS new (name text, waiting bigint, bytes bigint)
ORDER BY name COLLATE "C"
ON CONFLICT (name, writer) DO UPDATE SET
    waiting = u.waiting + excluded.waiting, bytes = u.bytes + excluded.bytes;

-- name: merge_key_usage
-- Adds the rows of these writers to the row with writer '', and deletes them.
WITH deleted AS (
    DELETE FROM key_usage
    WHERE (name, writer) IN (
        SELECT name, writer FROM key_usage
        WHERE writer IN (SELECT json_array_elements_text(%s) COLLATE "C")
        ORDER BY name, writer
        FOR UPDATE
    )
    RETURNING *
)
INSERT INTO key_usage AS u (name, writer, waiting, bytes)
SELECT name, '', sum(waiting), sum(bytes) FROM deleted GROUP BY name ORDER BY name
ON CONFLICT (name, writer) DO UPDATE SET
    waiting = u.waiting + excluded.waiting, bytes = u.bytes + excluded.bytes;

-- name: recount_key_usage
-- After a transfer, whose rows do not include these sums.
INSERT INTO key_usage (name, writer, waiting, bytes)
SELECT charged_to, '', count(*) FILTER (WHERE state IN (0, 1, 3)), sum(charged_bytes)
FROM jobs WHERE charged_to IS NOT NULL GROUP BY charged_to;

-- name: wrong_key_usage
WITH recount AS (
    SELECT charged_to AS name, count(*) FILTER (WHERE state IN (0, 1, 3)) AS waiting,
           sum(charged_bytes)::bigint AS bytes
    FROM jobs WHERE charged_to IS NOT NULL GROUP BY charged_to
),
stored AS (
    SELECT name, sum(waiting)::bigint AS waiting, sum(bytes)::bigint AS bytes
    FROM key_usage GROUP BY name
)
SELECT coalesce(s.name, r.name), coalesce(s.waiting, 0), coalesce(s.bytes, 0),
       coalesce(r.waiting, 0), coalesce(r.bytes, 0)
FROM stored s FULL JOIN recount r ON r.name = s.name
WHERE (coalesce(s.waiting, 0), coalesce(s.bytes, 0))
      <> (coalesce(r.waiting, 0), coalesce(r.bytes, 0));

-- name: wrong_charges
SELECT id, charged_bytes FROM jobs
WHERE charged_bytes <> CASE WHEN charged_to IS NULL THEN 0 ELSE octet_length(payload) END;
