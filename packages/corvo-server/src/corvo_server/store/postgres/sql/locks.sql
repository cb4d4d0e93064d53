-- name: lock_keys
-- Locks the row of each key, and inserts one without a job (job_id '') if there is none. ON
-- CONFLICT updates a column to itself, because DO NOTHING would neither lock nor return the row.
-- The sorted order prevents deadlocks between servers.
INSERT INTO unique_locks AS l (queue, unique_key, job_seq, job_id, expires_at)
SELECT queue, unique_key, 0, '', 0
FROM json_to_recordset(%s) AS k (queue text, unique_key text)
ORDER BY queue COLLATE "C", unique_key COLLATE "C"
ON CONFLICT (queue, unique_key) DO UPDATE SET expires_at = l.expires_at
RETURNING queue, unique_key, job_id, expires_at;

-- name: lock_keys_of_jobs
-- Locks the keys of jobs by id, when the server does not know their keys yet.
SELECT queue, unique_key, job_id, expires_at FROM unique_locks
WHERE job_id IN (SELECT json_array_elements_text(%s) COLLATE "C")
ORDER BY queue, unique_key
FOR UPDATE;

-- name: update_keys
UPDATE unique_locks AS l
SET job_seq = new.job_seq, job_id = new.job_id, expires_at = new.expires_at
FROM json_to_recordset(%s) AS new (
    queue text, unique_key text, job_seq bigint, job_id text, expires_at bigint
)
WHERE l.queue = new.queue AND l.unique_key = new.unique_key;

-- name: free_keys
-- The condition on job_id keeps a key that another job has taken since.
DELETE FROM unique_locks AS l
USING json_to_recordset(%s) AS old (queue text, unique_key text, job_id text)
WHERE l.queue = old.queue AND l.unique_key = old.unique_key AND l.job_id = old.job_id;

-- name: prune_locks
DELETE FROM unique_locks
WHERE (queue, unique_key) IN (
    SELECT queue, unique_key FROM unique_locks WHERE expires_at <= %s LIMIT %s
    FOR UPDATE SKIP LOCKED
);
