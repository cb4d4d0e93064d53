-- name: find_lock
SELECT j.id, l.expires_at
FROM unique_locks l JOIN jobs j ON j.seq = l.job_seq
WHERE l.queue = ? AND l.unique_key = ?;

-- name: take_lock
INSERT INTO unique_locks (queue, unique_key, job_seq, expires_at) VALUES (?, ?, ?, ?)
ON CONFLICT (queue, unique_key) DO UPDATE
SET job_seq = excluded.job_seq, expires_at = excluded.expires_at;

-- name: free_lock
DELETE FROM unique_locks WHERE queue = ? AND unique_key = ? AND job_seq = ?;
