-- name: lock_limited_queues
-- Fetches from a queue with a limit must run one after the other, so they lock its row. Fetches
-- from other queues run in parallel.
SELECT name FROM queues
WHERE name IN (SELECT json_array_elements_text(%s) COLLATE "C")
  AND (max_concurrency IS NOT NULL OR max_per_key IS NOT NULL OR rate_limit IS NOT NULL)
ORDER BY name
FOR UPDATE;

-- name: queue_limits
-- Runs after lock_limited_queues as a separate statement, so that it sees the counters of the
-- transactions that held the locks before. The last column is the highest seq of the jobs that a
-- clear or a delete covers. Such an operation gives its queue a row in queues.
SELECT name, is_paused, max_concurrency, max_per_key, rate_limit, rate_window,
       coalesce((SELECT sum(active) FROM queue_counts WHERE queue = name), 0)::bigint,
       CASE WHEN rate_limit IS NOT NULL THEN
           (SELECT max(at) FROM throttle_starts WHERE queue = name)
       END,
       (SELECT max(b.last_seq) FROM bulk_operations b
        WHERE b.finished_at IS NULL AND b.action IN ('clear_queue', 'delete_queue')
          AND b.request::json #>> '{filter,queue}' = queues.name)
FROM queues
WHERE name IN (SELECT json_array_elements_text(%s) COLLATE "C");

-- name: first_pending
-- SKIP LOCKED in this and the following statements: a locked job is being started by another
-- server. The last column of each is the size of a job, which PostgreSQL knows without reading the
-- documents.
SELECT j.queue, j.priority, j.seq, j.bytes
FROM json_to_recordset(%s) AS wanted (queue text, room integer) CROSS JOIN LATERAL (
    SELECT queue, priority, seq,
           octet_length(payload)::bigint + coalesce(octet_length(checkpoint), 0)
           + coalesce(octet_length(tags), 0) AS bytes
    FROM jobs
    WHERE queue = wanted.queue AND state = 1 AND (expire_at IS NULL OR expire_at > %s)
    ORDER BY priority, seq LIMIT wanted.room
    FOR UPDATE SKIP LOCKED
) j;

-- name: first_pending_with_payload
-- For a fetch of one job: it reads the whole job, which saves the round trip of claimed_by_seq.
-- The first columns are those of heads.
SELECT seq, id, queue, state, priority, attempt, max_retries, backoff, base_delay, max_delay,
       unique_key, unique_period, batch_id, is_batch_counted, worker_id, hostname, lease_token,
       lease_ms, lease_expires_at, scheduled_at, expire_at, created_at, started_at, finished_at,
       failed_at, is_cancel_requested, concurrency_key, charged_to, charged_bytes, payload,
       checkpoint, tags, traceparent
FROM jobs
WHERE queue = %s AND state = 1 AND (expire_at IS NULL OR expire_at > %s)
ORDER BY priority, seq LIMIT %s
FOR UPDATE SKIP LOCKED;

-- name: first_pending_with_small_documents
-- Like first_pending_with_payload, for several jobs. It leaves out large documents, because many of
-- them might not fit in memory. PostgreSQL plans each column anew, so there are few of them here.
SELECT seq, id, queue, state, priority, attempt, max_retries, backoff, base_delay, max_delay,
       unique_key, unique_period, batch_id, is_batch_counted, worker_id, hostname, lease_token,
       lease_ms, lease_expires_at, scheduled_at, expire_at, created_at, started_at, finished_at,
       failed_at, is_cancel_requested, concurrency_key, charged_to, charged_bytes,
       CASE WHEN octet_length(payload) <= %s THEN payload END,
       CASE WHEN octet_length(checkpoint) <= %s THEN checkpoint END,
       CASE WHEN octet_length(tags) <= %s THEN tags END, traceparent,
       octet_length(payload), octet_length(checkpoint), octet_length(tags)
FROM jobs
WHERE queue = %s AND state = 1 AND (expire_at IS NULL OR expire_at > %s)
ORDER BY priority, seq LIMIT %s
FOR UPDATE SKIP LOCKED;

-- name: first_pending_after
-- One range of the index per priority, so that jobs before the seq cost nothing.
SELECT j.priority, j.seq, j.bytes
FROM (VALUES (0), (1), (2)) AS p (priority) CROSS JOIN LATERAL (
    SELECT priority, seq,
           octet_length(payload)::bigint + coalesce(octet_length(checkpoint), 0)
           + coalesce(octet_length(tags), 0) AS bytes
    FROM jobs
    WHERE queue = %(queue)s AND state = 1 AND priority = p.priority AND seq > %(after)s
      AND (expire_at IS NULL OR expire_at > %(now)s)
    ORDER BY seq LIMIT %(count)s
    FOR UPDATE SKIP LOCKED
) j;

-- name: claimed_by_seq
SELECT h.*, j.payload, j.checkpoint, j.tags, j.traceparent
FROM heads h JOIN jobs j ON j.seq = h.seq
WHERE h.seq IN (SELECT json_array_elements_text(%s)::bigint);

-- name: pending_keys
-- The recursion skips from key to key in the index, so a key with many jobs costs one lookup.
WITH RECURSIVE keys (key) AS (
    SELECT min(concurrency_key) FROM jobs
    WHERE queue = %(queue)s AND state = 1 AND concurrency_key IS NOT NULL
    UNION ALL
    SELECT (SELECT min(concurrency_key) FROM jobs
            WHERE queue = %(queue)s AND state = 1 AND concurrency_key IS NOT NULL
              AND concurrency_key > keys.key)
    FROM keys WHERE keys.key IS NOT NULL
)
SELECT key, (SELECT count(*) FROM jobs
             WHERE queue = %(queue)s AND state = 2 AND concurrency_key IS NOT NULL
               AND concurrency_key = keys.key)
FROM keys WHERE key IS NOT NULL;

-- name: first_pending_of_keys
SELECT j.concurrency_key, j.priority, j.seq, j.bytes
FROM json_to_recordset(%(rooms)s) AS wanted (key text, room integer) CROSS JOIN LATERAL (
    SELECT concurrency_key, priority, seq,
           octet_length(payload)::bigint + coalesce(octet_length(checkpoint), 0)
           + coalesce(octet_length(tags), 0) AS bytes
    FROM jobs
    WHERE queue = %(queue)s AND concurrency_key = wanted.key AND concurrency_key IS NOT NULL
      AND state = 1 AND seq > %(after)s AND (expire_at IS NULL OR expire_at > %(now)s)
    ORDER BY priority, seq LIMIT wanted.room
    FOR UPDATE SKIP LOCKED
) j;

-- name: first_pending_without_key
SELECT priority, seq,
       octet_length(payload)::bigint + coalesce(octet_length(checkpoint), 0)
       + coalesce(octet_length(tags), 0) AS bytes
FROM jobs
WHERE queue = %s AND state = 1 AND concurrency_key IS NULL AND seq > %s
  AND (expire_at IS NULL OR expire_at > %s)
ORDER BY priority, seq LIMIT %s
FOR UPDATE SKIP LOCKED;

-- name: list_holders
SELECT worker_id, max(hostname), queue, count(*) FROM jobs WHERE state = 2
GROUP BY worker_id, queue;

-- name: starts_since
SELECT coalesce(sum(starts), 0)::bigint, min(at) FROM throttle_starts WHERE queue = %s AND at > %s;

-- name: add_starts
INSERT INTO throttle_starts AS t (queue, at, starts) VALUES (%s, %s, %s)
ON CONFLICT (queue, at) DO UPDATE SET starts = t.starts + excluded.starts;

-- name: forget_starts
-- Starts too far ahead date from before the clock was set back.
DELETE FROM throttle_starts WHERE queue = %s AND (at <= %s OR at > %s);

-- name: first_pending_in_order
-- The first pending job of each concurrency key, unless an earlier job of the key has not ended.
SELECT p.priority, p.seq,
       octet_length(p.payload)::bigint + coalesce(octet_length(p.checkpoint), 0)
       + coalesce(octet_length(p.tags), 0) AS bytes
FROM jobs p
WHERE p.queue = %(queue)s AND p.state = 1 AND p.seq > %(after)s
  AND (p.expire_at IS NULL OR p.expire_at > %(now)s)
  AND NOT EXISTS (
      SELECT 1 FROM jobs WHERE queue = %(queue)s AND concurrency_key = p.concurrency_key
        AND state = 2 AND concurrency_key IS NOT NULL)
  AND NOT EXISTS (
      SELECT 1 FROM jobs WHERE queue = %(queue)s AND concurrency_key = p.concurrency_key
        AND state IN (0, 3) AND concurrency_key IS NOT NULL AND seq < p.seq)
  AND NOT EXISTS (
      SELECT 1 FROM jobs WHERE queue = %(queue)s AND concurrency_key = p.concurrency_key
        AND state = 1 AND concurrency_key IS NOT NULL AND seq < p.seq)
ORDER BY p.priority, p.seq LIMIT %(count)s
FOR UPDATE OF p SKIP LOCKED;
