-- name: first_pending
SELECT priority, seq FROM jobs
WHERE queue = ? AND state = 1 AND (expire_at IS NULL OR expire_at > ?)
ORDER BY priority, seq
LIMIT ?;

-- name: claimed_by_seq
SELECT h.*, j.payload, j.checkpoint, j.tags
FROM job_heads h JOIN jobs j ON j.seq = h.seq
WHERE h.seq IN (SELECT value FROM json_each(?));

-- name: queue_limits
SELECT is_paused, max_concurrency, active FROM queues WHERE name = ?;
