-- name: last_seq
SELECT coalesce(max(seq), 0) FROM jobs;

-- name: newest_job
SELECT coalesce(max(seq), 0), coalesce(max(created_at), 0)
FROM (SELECT seq, created_at FROM jobs ORDER BY seq DESC LIMIT 1);

-- name: insert_job
INSERT INTO jobs (seq, id, queue, state, payload, created_at, priority, max_retries, backoff,
                  base_delay, max_delay, unique_key, unique_period, scheduled_at, expire_at, tags,
                  batch_id, concurrency_key, traceparent)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: known_by_id
SELECT id, state, batch_id FROM jobs WHERE id IN (SELECT value FROM json_each(?));

-- name: heads_by_id
SELECT * FROM job_heads WHERE id IN (SELECT value FROM json_each(?));

-- name: update_head
UPDATE jobs
SET queue = ?, state = ?, priority = ?, attempt = ?, max_retries = ?, is_batch_counted = ?,
    worker_id = ?, hostname = ?, lease_token = ?, lease_ms = ?, lease_expires_at = ?,
    scheduled_at = ?, expire_at = ?, started_at = ?, finished_at = ?, failed_at = ?, is_cancel_requested = ?,
    result = nullif(coalesce(?, result), ''),
    checkpoint = coalesce(?, checkpoint),
    progress = coalesce(?, progress)
WHERE seq = ?;

-- name: replace_job
UPDATE jobs
SET payload = ?, tags = ?, backoff = ?, base_delay = ?, max_delay = ?, concurrency_key = ?
WHERE seq = ?;

-- name: insert_failure
INSERT INTO job_failures (job_seq, attempt, error, backtrace, at) VALUES (?, ?, ?, ?, ?);

-- name: delete_job
DELETE FROM jobs WHERE seq = ?;

-- name: records_by_id
SELECT h.*, j.payload, j.tags, j.traceparent, j.progress, j.checkpoint, j.result
FROM job_heads h JOIN jobs j ON j.seq = h.seq
WHERE h.id IN (SELECT value FROM json_each(?));

-- name: failures_by_seq
SELECT job_seq, attempt, error, backtrace, at FROM job_failures
WHERE job_seq IN (SELECT value FROM json_each(?))
ORDER BY rowid;
