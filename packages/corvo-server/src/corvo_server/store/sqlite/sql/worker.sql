-- name: first_pending
-- The index jobs_pending contains all columns that this reads, so the table is not read.
SELECT priority, seq FROM jobs
WHERE queue = ? AND state = 1 AND (expire_at IS NULL OR expire_at > ?)
ORDER BY priority, seq
LIMIT ?;

-- name: plain_by_seq
-- Reading a column costs more than finding the row, and most jobs are new and have no options. So
-- this reads only the columns that such a job has. The last column is false for all other jobs,
-- which claimed_by_seq then reads in full. CROSS JOIN keeps the order of the seqs.
SELECT j.seq, j.id, j.queue, j.priority, j.max_retries, j.backoff, j.base_delay, j.max_delay,
       j.unique_period, j.created_at, j.payload,
       j.attempt = 0 AND j.lease_ms = 0 AND j.is_batch_counted = 0 AND j.is_cancel_requested = 0
       AND coalesce(j.unique_key, j.batch_id, j.worker_id, j.hostname, j.lease_token,
                    j.lease_expires_at, j.scheduled_at, j.expire_at, j.started_at, j.finished_at,
                    j.failed_at, j.concurrency_key, j.checkpoint, j.tags, j.traceparent,
                    j.charged_to) IS NULL
FROM json_each(?) w CROSS JOIN jobs j ON j.seq = w.value;

-- name: claimed_by_seq
SELECT h.*, j.payload, j.checkpoint, j.tags, j.traceparent
FROM json_each(?) w CROSS JOIN heads h ON h.seq = w.value
CROSS JOIN jobs j ON j.seq = w.value;

-- name: queue_limits
-- The last column is the highest seq of the jobs that a clear or a delete covers. Usually no bulk
-- operation is under way, and the subquery looks at an empty index.
SELECT is_paused, max_concurrency, max_per_key, rate_limit, rate_window, active, NULL,
       (SELECT max(last_seq) FROM bulk_operations INDEXED BY bulk_unended
        WHERE finished_at IS NULL AND action IN ('clear_queue', 'delete_queue')
          AND json_extract(request, '$.filter.queue') = queues.name)
FROM queues WHERE name = ?;

-- name: first_pending_after
-- Each priority is a range of jobs_pending that begins after the seq, so that jobs before it cost
-- nothing.
SELECT priority, seq FROM jobs
WHERE queue = ? AND state = 1 AND priority IN (0, 1, 2) AND seq > ?
  AND (expire_at IS NULL OR expire_at > ?)
ORDER BY priority, seq
LIMIT ?;

-- name: is_limited
SELECT max_concurrency IS NOT NULL OR max_per_key IS NOT NULL FROM queues WHERE name = ?;

-- name: pending_keys
-- The recursion skips from key to key in the index, so a key with many jobs costs one lookup.
WITH RECURSIVE keys (key) AS (
    SELECT min(pending_key) FROM jobs WHERE queue = ?1 AND pending_key IS NOT NULL
    UNION ALL
    SELECT (SELECT min(pending_key) FROM jobs WHERE queue = ?1 AND pending_key > keys.key)
    FROM keys WHERE keys.key IS NOT NULL
)
SELECT key, (SELECT count(*) FROM jobs WHERE queue = ?1 AND active_key = keys.key)
FROM keys WHERE key IS NOT NULL;

-- name: first_pending_of_key
SELECT priority, seq FROM jobs
WHERE queue = ? AND pending_key = ? AND seq > ? AND (expire_at IS NULL OR expire_at > ?)
ORDER BY priority, seq
LIMIT ?;

-- name: first_pending_without_key
SELECT priority, seq FROM jobs
WHERE queue = ? AND state = 1 AND concurrency_key IS NULL AND seq > ?
  AND (expire_at IS NULL OR expire_at > ?)
ORDER BY priority, seq
LIMIT ?;

-- name: list_holders
-- Only active jobs have a lease: the partial index on lease_expires_at finds them.
SELECT worker_id, max(hostname), queue, count(*) FROM jobs
WHERE lease_expires_at IS NOT NULL GROUP BY worker_id, queue;

-- name: starts_since
SELECT coalesce(sum(starts), 0), min(at) FROM throttle_starts WHERE queue = ? AND at > ?;

-- name: add_starts
INSERT INTO throttle_starts (queue, at, starts) VALUES (?, ?, ?)
ON CONFLICT (queue, at) DO UPDATE SET starts = starts + excluded.starts;

-- name: forget_starts
-- Starts too far ahead date from before the clock was set back.
DELETE FROM throttle_starts WHERE queue = ? AND (at <= ? OR at > ?);

-- name: first_pending_in_order
-- The first pending job of each concurrency key, unless an earlier job of the key has not ended.
SELECT p.priority, p.seq FROM jobs p
WHERE p.queue = ?1 AND p.state = 1 AND p.seq > ?2 AND (p.expire_at IS NULL OR p.expire_at > ?3)
  AND NOT EXISTS (SELECT 1 FROM jobs WHERE queue = ?1 AND active_key = p.concurrency_key)
  AND NOT EXISTS (
      SELECT 1 FROM jobs WHERE queue = ?1 AND concurrency_key = p.concurrency_key
        AND concurrency_key IS NOT NULL AND due_at IS NOT NULL AND seq < p.seq)
  AND NOT EXISTS (
      SELECT 1 FROM jobs WHERE queue = ?1 AND pending_key = p.concurrency_key AND seq < p.seq)
ORDER BY p.priority, p.seq
LIMIT ?4;
