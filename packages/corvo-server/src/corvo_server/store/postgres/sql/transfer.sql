-- The progress of a transfer into this database. Servers refuse to start while this table exists.

-- name: has_transfer
SELECT to_regclass('transfer') IS NOT NULL;

-- name: create_transfer
CREATE TABLE transfer (
    name   text PRIMARY KEY,  -- table; '' for the row that describes the transfer
    last   text   NOT NULL,   -- key of the last row written; in the row '', the source
    rows   bigint,            -- rows written
    digest bigint,            -- digest of the rows written
    expected text             -- only in the row '': rows of the source by table, as JSON
);

-- name: begin_transfer
INSERT INTO transfer (name, last, expected) VALUES (%s, %s, %s);

-- name: transfer_begun
SELECT last, expected FROM transfer WHERE name = '';

-- name: transfer_progress
SELECT name, last, rows, digest FROM transfer WHERE name <> '';

-- name: save_transfer_progress
INSERT INTO transfer (name, last, rows, digest) VALUES (%s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE
SET last = excluded.last, rows = excluded.rows, digest = excluded.digest;

-- name: end_transfer
DROP TABLE transfer;

-- name: count_live_nodes
-- A node is live if it has sent a heartbeat within ten seconds.
SELECT count(*) FROM nodes
WHERE last_seen > server_time() - 10000;

-- name: lock_target
-- An advisory lock of the session: it is released when the transfer disconnects, however it ends.
SELECT pg_try_advisory_lock(hashtext('corvo transfer'), hashtext(current_schema()));

-- name: lock_source
-- SHARE MODE blocks all writes until the transfer has read everything. NOWAIT fails if a writer is
-- active now.
LOCK TABLE jobs, job_failures, unique_locks, batches, queues, queue_counts, throttle_starts,
           schedules, bulk_operations, clock, events, queue_defaults, schedule_options, audit,
           key_ring, api_keys IN SHARE MODE NOWAIT;

-- name: queues_to_transfer
-- One row per queue with its settings and the sum of its counters, as SQLite stores it.
SELECT coalesce(q.name, c.queue) AS name, coalesce(q.is_paused, false)::int AS is_paused,
       coalesce(q.is_draining, false)::int AS is_draining, q.max_concurrency, q.max_per_key,
       q.rate_limit, q.rate_window, least(q.created_at, c.created_at) AS created_at,
       coalesce(c.scheduled, 0) AS scheduled, coalesce(c.pending, 0) AS pending,
       coalesce(c.active, 0) AS active, coalesce(c.retrying, 0) AS retrying,
       coalesce(c.completed, 0) AS completed, coalesce(c.dead, 0) AS dead,
       coalesce(c.cancelled, 0) AS cancelled, coalesce(c.enqueued, 0) AS enqueued,
       coalesce(c.failed, 0) AS failed
FROM queues q FULL JOIN (
    SELECT queue, min(created_at) AS created_at, sum(scheduled)::bigint AS scheduled,
           sum(pending)::bigint AS pending, sum(active)::bigint AS active,
           sum(retrying)::bigint AS retrying, sum(completed)::bigint AS completed,
           sum(dead)::bigint AS dead, sum(cancelled)::bigint AS cancelled,
           sum(enqueued)::bigint AS enqueued, sum(failed)::bigint AS failed
    FROM queue_counts GROUP BY queue
) c ON c.queue = q.name;

-- name: set_lock_holders
-- SQLite has no column job_id in unique_locks, so the transfer writes '' first.
UPDATE unique_locks l SET job_id = j.id FROM jobs j WHERE j.seq = l.job_seq AND l.job_id = '';

-- name: latest_created_at
SELECT coalesce(max(created_at), 0) FROM jobs WHERE seq <= %s;

-- name: newest_seq
SELECT greatest(
    coalesce((SELECT max(seq) FROM jobs), 0),
    (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM jobs_seq)
);

-- name: set_sequences
SELECT setval('jobs_seq', greatest(%(newest_seq)s, 1), %(newest_seq)s > 0),
       setval(pg_get_serial_sequence('job_failures', 'number'),
              (SELECT coalesce(max(number), 0) + 1 FROM job_failures), false),
       setval(pg_get_serial_sequence('events', 'id'),
              (SELECT coalesce(max(id), 0) + 1 FROM events), false),
       setval(pg_get_serial_sequence('audit', 'id'),
              (SELECT coalesce(max(id), 0) + 1 FROM audit), false);
