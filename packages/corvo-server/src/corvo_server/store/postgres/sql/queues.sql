-- name: count_queues
-- Each writer has its own row, so servers do not wait for each other here. ORDER BY makes the order
-- of locks the same in all transactions.
INSERT INTO queue_counts AS c (queue, writer, created_at, scheduled, pending, active, retrying,
                               completed, dead, cancelled, enqueued, failed)
SELECT queue, %s, created_at, scheduled, pending, active, retrying, completed, dead, cancelled,
       enqueued, failed
FROM json_to_recordset(%s) AS new (
    queue text, created_at bigint, scheduled bigint, pending bigint, active bigint,
    retrying bigint, completed bigint, dead bigint, cancelled bigint, enqueued bigint, failed bigint
)
ORDER BY queue COLLATE "C"
ON CONFLICT (queue, writer) DO UPDATE SET
    scheduled = c.scheduled + excluded.scheduled,
    pending = c.pending + excluded.pending,
    active = c.active + excluded.active,
    retrying = c.retrying + excluded.retrying,
    completed = c.completed + excluded.completed,
    dead = c.dead + excluded.dead,
    cancelled = c.cancelled + excluded.cancelled,
    enqueued = c.enqueued + excluded.enqueued,
    failed = c.failed + excluded.failed;

-- name: merge_counters
-- Adds the counters of these writers to the row with writer '', and deletes their rows. This is
-- also correct for a writer that still counts: it inserts a new row afterwards.
WITH deleted AS (
    DELETE FROM queue_counts
    WHERE (queue, writer) IN (
        SELECT queue, writer FROM queue_counts
        WHERE writer IN (SELECT json_array_elements_text(%s) COLLATE "C")
        ORDER BY queue, writer
        FOR UPDATE
    )
    RETURNING *
)
INSERT INTO queue_counts AS c (queue, writer, created_at, scheduled, pending, active, retrying,
                               completed, dead, cancelled, enqueued, failed)
SELECT queue, '', min(created_at), sum(scheduled), sum(pending), sum(active), sum(retrying),
       sum(completed), sum(dead), sum(cancelled), sum(enqueued), sum(failed)
FROM deleted GROUP BY queue ORDER BY queue
ON CONFLICT (queue, writer) DO UPDATE SET
    created_at = least(c.created_at, excluded.created_at),
    scheduled = c.scheduled + excluded.scheduled,
    pending = c.pending + excluded.pending,
    active = c.active + excluded.active,
    retrying = c.retrying + excluded.retrying,
    completed = c.completed + excluded.completed,
    dead = c.dead + excluded.dead,
    cancelled = c.cancelled + excluded.cancelled,
    enqueued = c.enqueued + excluded.enqueued,
    failed = c.failed + excluded.failed;

-- name: limited_queues
-- A queue without settings has no row.
SELECT name, max_concurrency IS NOT NULL OR max_per_key IS NOT NULL FROM queues
WHERE name IN (SELECT json_array_elements_text(%s) COLLATE "C");

-- name: limited_queues_of_jobs
-- For jobs whose queue the server does not know yet, so that it need not wait for their heads
-- first.
SELECT j.queue, bool_or(q.max_concurrency IS NOT NULL OR q.max_per_key IS NOT NULL)
FROM jobs j LEFT JOIN queues q ON q.name = j.queue
WHERE j.id IN (SELECT json_array_elements_text(%s) COLLATE "C")
GROUP BY j.queue;

-- name: set_paused
INSERT INTO queues (name, created_at, is_paused, is_draining) VALUES (%s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE
SET is_paused = excluded.is_paused, is_draining = excluded.is_draining;

-- name: set_max_concurrency
INSERT INTO queues (name, created_at, max_concurrency) VALUES (%s, %s, %s)
ON CONFLICT (name) DO UPDATE SET max_concurrency = excluded.max_concurrency;

-- name: set_max_per_key
INSERT INTO queues (name, created_at, max_per_key) VALUES (%s, %s, %s)
ON CONFLICT (name) DO UPDATE SET max_per_key = excluded.max_per_key;

-- name: set_throttle
INSERT INTO queues (name, created_at, rate_limit, rate_window) VALUES (%s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE
SET rate_limit = excluded.rate_limit, rate_window = excluded.rate_window;

-- name: set_defaults
-- Workers publish the same defaults at each start. That writes nothing.
INSERT INTO queue_defaults AS d (queue, updated_at, options, payload_schema)
VALUES (%s, %s, %s, %s)
ON CONFLICT (queue) DO UPDATE
SET updated_at = excluded.updated_at, options = excluded.options,
    payload_schema = excluded.payload_schema
WHERE (d.options, d.payload_schema) IS DISTINCT FROM (excluded.options, excluded.payload_schema);

-- name: clear_defaults
DELETE FROM queue_defaults WHERE queue = %s;

-- name: find_defaults
SELECT options, payload_schema, updated_at FROM queue_defaults WHERE queue = %s;

-- name: defaults_of_queues
SELECT queue, options FROM queue_defaults
WHERE queue IN (SELECT json_array_elements_text(%s) COLLATE "C");

-- name: ensure_queue
INSERT INTO queues (name, created_at) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING;

-- name: reset_queue
UPDATE queues
SET is_paused = false, is_draining = false, max_concurrency = NULL, max_per_key = NULL,
    rate_limit = NULL, rate_window = NULL
WHERE name = %s;

-- name: active_of_queue
SELECT coalesce(sum(active), 0)::bigint FROM queue_counts WHERE queue = %s;

-- name: lock_counts
-- Before drop_queue: a separate statement, so that drop_queue sees all that was committed before
-- the locks were granted.
SELECT queue, writer FROM queue_counts WHERE queue = %s ORDER BY queue, writer FOR UPDATE;

-- name: drop_queue
-- lock_counts has locked the counters. A writer that enqueues into the queue meanwhile waits, and
-- then inserts a new row of counters. So a queue with a job always has a row.
WITH empty AS (
    SELECT %(name)s AS name
    WHERE 0 = (
        SELECT coalesce(sum(scheduled + pending + active + retrying + completed + dead + cancelled),
                        0)
        FROM queue_counts WHERE queue = %(name)s
    )
),
counts AS (
    DELETE FROM queue_counts USING empty WHERE queue = empty.name RETURNING queue
),
settings AS (
    DELETE FROM queues USING empty WHERE queues.name = empty.name RETURNING queues.name
)
SELECT (SELECT count(*) FROM counts) + (SELECT count(*) FROM settings);

-- name: list_queues
-- A queue without settings has no row in queues, and one without jobs may have none in
-- queue_counts: hence the FULL JOIN. For the oldest pending job, the index is read once for each
-- priority.
WITH counts AS (
    SELECT queue, min(created_at) AS created_at, sum(pending)::bigint AS pending,
           sum(active)::bigint AS active, sum(scheduled)::bigint AS scheduled,
           sum(retrying)::bigint AS retrying, sum(completed)::bigint AS completed,
           sum(dead)::bigint AS dead, sum(cancelled)::bigint AS cancelled,
           sum(enqueued)::bigint AS enqueued, sum(failed)::bigint AS failed
    FROM queue_counts
    WHERE %(name)s::text IS NULL OR queue = %(name)s
    GROUP BY queue
)
SELECT coalesce(q.name, c.queue), coalesce(q.is_paused, false), coalesce(q.is_draining, false),
       q.max_concurrency, q.max_per_key, q.rate_limit, q.rate_window,
       least(q.created_at, c.created_at),
       coalesce(c.pending, 0), coalesce(c.active, 0), coalesce(c.scheduled, 0),
       coalesce(c.retrying, 0), coalesce(c.completed, 0), coalesce(c.dead, 0),
       coalesce(c.cancelled, 0), coalesce(c.enqueued, 0), coalesce(c.failed, 0),
       (SELECT min(greatest(coalesce(f.scheduled_at, 0), f.created_at))
        FROM (VALUES (0), (1), (2)) AS p (priority) CROSS JOIN LATERAL (
            SELECT scheduled_at, created_at FROM jobs
            WHERE queue = coalesce(q.name, c.queue) AND state = 1 AND priority = p.priority
            ORDER BY seq LIMIT 1
        ) f)
FROM (SELECT * FROM queues WHERE %(name)s::text IS NULL OR name = %(name)s) q
FULL JOIN counts c ON c.queue = q.name
ORDER BY 1;

-- name: ready_queues
-- The queues with pending jobs, for a server that polls instead of receiving notifications.
SELECT c.queue, sum(c.pending)::bigint
FROM queue_counts c LEFT JOIN queues q ON q.name = c.queue
WHERE NOT coalesce(q.is_paused, false)
GROUP BY c.queue HAVING sum(c.pending) > 0;

-- name: lock_queue
SELECT 1 FROM queues WHERE name = %s FOR UPDATE;

-- name: queue_settings
SELECT q.is_paused, q.is_draining, q.max_concurrency, q.max_per_key, q.rate_limit, q.rate_window,
       d.options, d.payload_schema
FROM queues q LEFT JOIN queue_defaults d ON d.queue = q.name WHERE q.name = %s;
