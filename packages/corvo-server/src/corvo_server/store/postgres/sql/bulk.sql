-- name: save_bulk
-- The request changes only at the end: writing 10,000 ids with each chunk would be slow.
INSERT INTO bulk_operations (id, request, action, status, total, processed, affected, errors,
                             error, cursor, last_seq, created_at, updated_at, finished_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, processed = excluded.processed, affected = excluded.affected,
    errors = excluded.errors, error = excluded.error, cursor = excluded.cursor,
    updated_at = excluded.updated_at, finished_at = excluded.finished_at,
    request = CASE WHEN excluded.finished_at IS NULL
                   THEN bulk_operations.request ELSE excluded.request END;

-- name: find_bulk
SELECT * FROM bulk_operations WHERE id = %s;

-- name: lock_bulk
-- FOR UPDATE: two servers must not record progress of one operation at the same time.
SELECT * FROM bulk_operations WHERE id = %s FOR UPDATE;

-- name: list_bulks
-- Requests may list thousands of ids, so only what tells who sees the operation is read.
SELECT id,
       CASE WHEN finished_at IS NOT NULL OR action IN ('clear_queue', 'delete_queue') THEN request
            WHEN request LIKE '{"scope":%%'
            THEN concat('{"scope":', request::json ->> 'scope', '}')
            ELSE '{}' END,
       action, status, total, processed, affected, errors, error, cursor, last_seq,
       created_at, updated_at, finished_at
FROM bulk_operations ORDER BY id DESC LIMIT %s;

-- name: next_bulk
SELECT * FROM bulk_operations WHERE finished_at IS NULL ORDER BY id LIMIT 1;

-- name: prune_bulks
DELETE FROM bulk_operations
WHERE id IN (
    SELECT id FROM bulk_operations WHERE finished_at <= %s LIMIT %s FOR UPDATE SKIP LOCKED
);
