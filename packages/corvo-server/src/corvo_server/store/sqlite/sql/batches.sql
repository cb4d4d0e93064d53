-- name: insert_batch
INSERT INTO batches (id, total, callback_queue, callback_job_id, callback_payload, created_at,
                     charged_to)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: count_batch
UPDATE batches
SET succeeded = succeeded + ?, failed = failed + ?, cancelled = cancelled + ?
WHERE id = ?;

-- name: finish_batch
-- The condition finished_at IS NULL makes sure that a batch finishes, and calls back, only once.
UPDATE batches SET finished_at = ?
WHERE id = ? AND finished_at IS NULL AND succeeded + failed + cancelled >= total
RETURNING total, succeeded, failed, cancelled, callback_queue, callback_job_id, callback_payload,
          charged_to;

-- name: find_batch
SELECT id, total, succeeded, failed, cancelled, callback_queue, callback_job_id, created_at,
       finished_at
FROM batches WHERE id = ?;

-- name: list_batches
SELECT id, total, succeeded, failed, cancelled, callback_queue, callback_job_id, created_at,
       finished_at
FROM batches WHERE id < ?1 ORDER BY id DESC LIMIT ?2;

-- name: list_running_batches
SELECT id, total, succeeded, failed, cancelled, callback_queue, callback_job_id, created_at,
       finished_at
FROM batches WHERE id < ?1 AND finished_at IS NULL ORDER BY id DESC LIMIT ?2;

-- name: list_finished_batches
SELECT id, total, succeeded, failed, cancelled, callback_queue, callback_job_id, created_at,
       finished_at
FROM batches WHERE id < ?1 AND finished_at IS NOT NULL ORDER BY id DESC LIMIT ?2;

-- name: queues_of_batches
SELECT DISTINCT batch_id, queue FROM jobs INDEXED BY jobs_batch
WHERE batch_id IN (SELECT value FROM json_each(?));
