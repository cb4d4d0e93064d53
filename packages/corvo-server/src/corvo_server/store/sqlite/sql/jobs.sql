-- name: last_seq
SELECT coalesce(max(seq), 0) FROM jobs;

-- name: newest_job
-- The highest seq ever used, also by a removed job, and the latest time of creation.
SELECT max(coalesce(max(seq), 0), (SELECT last FROM job_sequence)), coalesce(max(created_at), 0)
FROM (SELECT seq, created_at FROM jobs ORDER BY seq DESC LIMIT 1);

-- name: insert_plain_job
-- Only for jobs without options (the columns that insert_job adds). It binds half the parameters.
INSERT INTO jobs (seq, id, queue, state, payload, created_at, priority, max_retries, backoff,
                  base_delay, max_delay, unique_period)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_job
INSERT INTO jobs (seq, id, queue, state, payload, created_at, priority, max_retries, backoff,
                  base_delay, max_delay, unique_period, unique_key, scheduled_at, expire_at, tags,
                  batch_id, concurrency_key, traceparent, charged_to, charged_bytes, due_at, lapses_at,
                  pending_key)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: has_ids_between
SELECT EXISTS (SELECT 1 FROM jobs WHERE id BETWEEN ? AND ?);

-- name: known_by_id
SELECT id, seq, state, batch_id, queue FROM jobs WHERE id IN (SELECT value FROM json_each(?));

-- name: has_other_payload
SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ? AND payload <> ?);

-- name: heads_by_id
-- The JSON array is the left side of the join, so that SQLite looks up each id in the index.
SELECT h.* FROM json_each(?) w JOIN heads h ON h.id = w.value;

-- name: update_head
-- Writes all columns of a head and the columns that partial indexes use. NULL keeps a document;
-- '' as result removes the result.
UPDATE jobs
SET queue = ?1, state = ?2, priority = ?3, attempt = ?4, max_retries = ?5, is_batch_counted = ?6,
    worker_id = ?7, hostname = ?8, lease_token = ?9, lease_ms = ?10, lease_expires_at = ?11,
    scheduled_at = ?12, expire_at = ?13, started_at = ?14, finished_at = ?15, failed_at = ?16,
    is_cancel_requested = ?17, concurrency_key = ?18,
    due_at = iif(?2 IN (0, 3), ?12, NULL),
    lapses_at = iif(?2 IN (0, 1, 3), ?13, NULL),
    pending_key = iif(?2 = 1, ?18, NULL),
    active_key = iif(?2 = 2, ?18, NULL),
    result = nullif(coalesce(?19, result), ''),
    checkpoint = coalesce(?20, checkpoint),
    progress = coalesce(?21, progress)
WHERE seq = ?22;

-- name: start_job
-- Only for jobs without a concurrency key and without an expiry. Otherwise pending_key, active_key
-- or lapses_at would have to change as well. A lease token is a prefix followed by the seq.
UPDATE jobs
SET state = 2, attempt = ?, worker_id = ?, hostname = ?, lease_token = ? || seq, lease_ms = ?,
    lease_expires_at = ?, started_at = ?
WHERE seq = ?;

-- name: start_jobs
UPDATE jobs
SET state = 2, attempt = ?, worker_id = ?, hostname = ?, lease_token = ? || seq, lease_ms = ?,
    lease_expires_at = ?, started_at = ?
WHERE seq IN (SELECT value FROM json_each(?));

-- name: complete_job
-- Only for jobs without a concurrency key, because active_key does not change.
UPDATE jobs
SET state = 4, is_batch_counted = ?, lease_expires_at = NULL, finished_at = ?,
    result = coalesce(?, result)
WHERE seq = ?;

-- name: complete_jobs
UPDATE jobs
SET state = 4, is_batch_counted = ?, lease_expires_at = NULL, finished_at = ?,
    result = coalesce(?, result)
WHERE seq IN (SELECT value FROM json_each(?));

-- name: replace_job
UPDATE jobs
SET payload = ?1, tags = ?2, backoff = ?3, base_delay = ?4, max_delay = ?5,
    charged_bytes = iif(charged_to IS NULL, 0, length(CAST(?1 AS BLOB)))
WHERE seq = ?6;

-- name: insert_failure
INSERT INTO job_failures (job_seq, attempt, error, backtrace, at) VALUES (?, ?, ?, ?, ?);

-- name: delete_job
DELETE FROM jobs WHERE seq = ?;

-- name: keep_last_seq
-- Records the seq of a removed job, so that no later job gets it again.
UPDATE job_sequence SET last = ?1 WHERE last < ?1;

-- name: records_by_id
SELECT h.*, j.payload, j.tags, j.traceparent, j.progress, j.checkpoint, j.result
FROM heads h JOIN jobs j ON j.seq = h.seq
WHERE h.id IN (SELECT value FROM json_each(?));

-- name: sizes_by_id
-- Bytes of the documents of jobs, and of the errors that failures_by_seq returns. A cast to BLOB makes length() count bytes.
SELECT j.id, length(CAST(j.payload AS BLOB)) + coalesce(length(CAST(j.tags AS BLOB)), 0)
       + coalesce(length(CAST(j.progress AS BLOB)), 0)
       + coalesce(length(CAST(j.checkpoint AS BLOB)), 0)
       + coalesce(length(CAST(j.result AS BLOB)), 0)
       + min(?, coalesce((SELECT sum(length(CAST(error AS BLOB))
                                     + coalesce(length(CAST(backtrace AS BLOB)), 0))
                          FROM job_failures WHERE job_seq = j.seq), 0))
FROM json_each(?) w CROSS JOIN jobs j ON j.id = w.value;

-- name: failures_by_seq
-- The newest failures of each job: those whose newer ones have fewer bytes than the last parameter.
SELECT job_seq, attempt, error, backtrace, at FROM (
    SELECT rowid AS number, job_seq, attempt, error, backtrace, at,
           sum(length(CAST(error AS BLOB)) + coalesce(length(CAST(backtrace AS BLOB)), 0)) OVER (
               PARTITION BY job_seq ORDER BY rowid DESC
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS newer
    FROM job_failures WHERE job_seq IN (SELECT value FROM json_each(?))
)
WHERE coalesce(newer, 0) < ?
ORDER BY number;
