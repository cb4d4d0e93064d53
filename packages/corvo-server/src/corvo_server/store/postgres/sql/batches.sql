-- name: insert_batch
INSERT INTO batches (id, total, callback_queue, callback_job_id, callback_payload, created_at,
                     charged_to)
VALUES (%s, %s, %s, %s, %s, %s, %s);

-- name: lock_batches
-- Locks in the order of ids, so that two transactions do not deadlock.
SELECT id FROM batches
WHERE id IN (SELECT json_array_elements_text(%s) COLLATE "C")
ORDER BY id
FOR UPDATE;

-- name: count_batches
-- The second join, `old`, gives the values before the update, to see which batches finish by it.
-- They are current, because lock_batches has locked the rows.
UPDATE batches AS b
SET succeeded = b.succeeded + new.succeeded, failed = b.failed + new.failed,
    cancelled = b.cancelled + new.cancelled,
    finished_at = CASE
        WHEN b.finished_at IS NULL
             AND b.succeeded + b.failed + b.cancelled
                 + new.succeeded + new.failed + new.cancelled >= b.total
        THEN new.ended_at
        ELSE b.finished_at
    END
FROM json_to_recordset(%s) AS new (
    id text, succeeded integer, failed integer, cancelled integer, ended_at bigint
) JOIN batches AS old ON old.id = new.id
WHERE b.id = new.id
RETURNING b.id, b.finished_at, b.total, b.succeeded, b.failed, b.cancelled, b.callback_queue,
          b.callback_job_id, b.callback_payload, b.charged_to,
          b.finished_at IS NOT NULL AND old.finished_at IS NULL;

-- name: find_batch
SELECT id, total, succeeded, failed, cancelled, callback_queue, callback_job_id, created_at,
       finished_at
FROM batches WHERE id = %s;

-- name: prune_batches
DELETE FROM batches
WHERE id IN (
    SELECT id FROM batches b
    WHERE finished_at <= %s AND NOT EXISTS (SELECT 1 FROM jobs WHERE batch_id = b.id) LIMIT %s
    FOR UPDATE SKIP LOCKED
);

-- name: list_batches
SELECT id, total, succeeded, failed, cancelled, callback_queue, callback_job_id, created_at,
       finished_at
FROM batches WHERE id < %s ORDER BY id DESC LIMIT %s;

-- name: list_running_batches
SELECT id, total, succeeded, failed, cancelled, callback_queue, callback_job_id, created_at,
       finished_at
FROM batches WHERE id < %s AND finished_at IS NULL ORDER BY id DESC LIMIT %s;

-- name: list_finished_batches
SELECT id, total, succeeded, failed, cancelled, callback_queue, callback_job_id, created_at,
       finished_at
FROM batches WHERE id < %s AND finished_at IS NOT NULL ORDER BY id DESC LIMIT %s;

-- name: queues_of_batches
SELECT DISTINCT batch_id, queue FROM jobs
WHERE batch_id IN (SELECT json_array_elements_text(%s) COLLATE "C");
