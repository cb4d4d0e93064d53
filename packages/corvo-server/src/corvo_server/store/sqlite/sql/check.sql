-- Each statement returns a row for each violation. check.py formats the columns into a message.

-- name: wrong_counters
WITH recount AS (
    SELECT queue,
           count(*) FILTER (WHERE state = 0) AS scheduled,
           count(*) FILTER (WHERE state = 1) AS pending,
           count(*) FILTER (WHERE state = 2) AS active,
           count(*) FILTER (WHERE state = 3) AS retrying,
           count(*) FILTER (WHERE state = 4) AS completed,
           count(*) FILTER (WHERE state = 5) AS dead,
           count(*) FILTER (WHERE state = 6) AS cancelled
    FROM jobs GROUP BY queue
),
both AS (
    SELECT q.name,
           json_array(q.scheduled, q.pending, q.active, q.retrying, q.completed, q.dead,
                      q.cancelled) AS stored,
           json_array(coalesce(r.scheduled, 0), coalesce(r.pending, 0), coalesce(r.active, 0),
                      coalesce(r.retrying, 0), coalesce(r.completed, 0), coalesce(r.dead, 0),
                      coalesce(r.cancelled, 0)) AS counted
    FROM queues q LEFT JOIN recount r ON r.queue = q.name
)
SELECT name, stored, counted FROM both WHERE stored <> counted;

-- name: jobs_without_queue
SELECT DISTINCT queue FROM jobs WHERE queue NOT IN (SELECT name FROM queues);

-- name: wrong_locks
SELECT l.queue, l.unique_key, j.id FROM unique_locks l JOIN jobs j ON j.seq = l.job_seq
WHERE j.state >= 4 OR j.queue <> l.queue OR j.unique_key IS NOT l.unique_key;

-- name: wrong_batches
SELECT b.id, b.total, b.succeeded + b.failed + b.cancelled,
       (SELECT count(*) FROM jobs WHERE batch_id = b.id AND is_batch_counted = 0)
FROM batches b
WHERE b.succeeded + b.failed + b.cancelled
      + (SELECT count(*) FROM jobs WHERE batch_id = b.id AND is_batch_counted = 0) <> b.total
   OR (b.finished_at IS NOT NULL) <> (b.succeeded + b.failed + b.cancelled = b.total);

-- name: wrong_leases
SELECT id FROM jobs
WHERE (state = 2) <> (lease_expires_at IS NOT NULL)
   OR (state = 2 AND (lease_token IS NULL OR worker_id IS NULL));

-- name: wrong_finish_times
SELECT id FROM jobs WHERE (state >= 4) <> (finished_at IS NOT NULL);

-- name: wrong_times
SELECT id FROM jobs WHERE state IN (0, 3) AND scheduled_at IS NULL;

-- name: wrong_index_columns
SELECT id FROM jobs
WHERE due_at IS NOT iif(state IN (0, 3), scheduled_at, NULL)
   OR lapses_at IS NOT iif(state IN (0, 1, 3), expire_at, NULL)
   OR pending_key IS NOT iif(state = 1, concurrency_key, NULL)
   OR active_key IS NOT iif(state = 2, concurrency_key, NULL);

-- name: wrong_order
SELECT id FROM (SELECT id, created_at, lag(created_at) OVER (ORDER BY seq) AS before FROM jobs)
WHERE created_at < before;

-- name: wrong_tags
WITH stored AS (SELECT segment, key, value, job_seq FROM job_tags),
expected AS (
    SELECT j.seq >> 12 AS segment, t.key, t.value, j.seq AS job_seq
    FROM jobs j, json_each(iif(json_valid(j.tags), j.tags, '{}')) t WHERE j.tags IS NOT NULL
)
SELECT job_seq, key, value FROM (SELECT * FROM stored EXCEPT SELECT * FROM expected)
UNION ALL
SELECT job_seq, key, value FROM (SELECT * FROM expected EXCEPT SELECT * FROM stored);

-- name: tables
SELECT name FROM sqlite_schema
WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name <> 'transfer';

-- name: columns_of
-- Name, type, and whether the column is a part of the primary key.
SELECT name, type, pk FROM pragma_table_info(?);

-- name: schema
SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL;

-- name: events_without_job
-- The job of an event exists, or it was removed, so its seq was recorded in job_sequence.
SELECT e.id, e.job_id, e.job_seq FROM events e LEFT JOIN jobs j ON j.seq = e.job_seq
WHERE iif(j.seq IS NULL,
          e.job_seq > max((SELECT max(last) FROM job_sequence), (SELECT coalesce(max(seq), 0) FROM jobs))
          OR e.job_seq < 1,
          j.id <> e.job_id);

-- name: wrong_sequences
SELECT count(*), min(last) FROM job_sequence HAVING count(*) <> 1 OR min(last) < 0;
