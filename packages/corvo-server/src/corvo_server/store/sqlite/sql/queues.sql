-- name: count_queue
INSERT INTO queues (name, created_at, scheduled, pending, active, retrying, completed, dead,
                    cancelled, enqueued, failed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    scheduled = scheduled + excluded.scheduled,
    pending = pending + excluded.pending,
    active = active + excluded.active,
    retrying = retrying + excluded.retrying,
    completed = completed + excluded.completed,
    dead = dead + excluded.dead,
    cancelled = cancelled + excluded.cancelled,
    enqueued = enqueued + excluded.enqueued,
    failed = failed + excluded.failed;

-- name: set_paused
INSERT INTO queues (name, created_at, is_paused, is_draining) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE
SET is_paused = excluded.is_paused, is_draining = excluded.is_draining;

-- name: set_max_concurrency
INSERT INTO queues (name, created_at, max_concurrency) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET max_concurrency = excluded.max_concurrency;

-- name: set_max_per_key
INSERT INTO queues (name, created_at, max_per_key) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET max_per_key = excluded.max_per_key;

-- name: set_throttle
INSERT INTO queues (name, created_at, rate_limit, rate_window) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE
SET rate_limit = excluded.rate_limit, rate_window = excluded.rate_window;

-- name: set_defaults
-- Workers publish the same defaults at each start. That writes nothing.
INSERT INTO queue_defaults AS d (queue, updated_at, options, payload_schema)
VALUES (?, ?, ?, ?)
ON CONFLICT (queue) DO UPDATE
SET updated_at = excluded.updated_at, options = excluded.options,
    payload_schema = excluded.payload_schema
WHERE (d.options, d.payload_schema) IS NOT (excluded.options, excluded.payload_schema);

-- name: clear_defaults
DELETE FROM queue_defaults WHERE queue = ?;

-- name: find_defaults
SELECT options, payload_schema, updated_at FROM queue_defaults WHERE queue = ?;

-- name: all_defaults
SELECT queue, options FROM queue_defaults;

-- name: ensure_queue
INSERT INTO queues (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING;

-- name: reset_queue
UPDATE queues
SET is_paused = 0, is_draining = 0, max_concurrency = NULL, max_per_key = NULL,
    rate_limit = NULL, rate_window = NULL
WHERE name = ?;

-- name: active_of_queue
SELECT active FROM queues WHERE name = ?;

-- name: drop_queue
DELETE FROM queues
WHERE name = ? AND scheduled + pending + active + retrying + completed + dead + cancelled = 0;

-- name: list_queues
-- The last column is the time since which the oldest pending job waits. Within a priority, the
-- index gives the oldest job first, so the subquery reads one row for each of the three priorities.
SELECT q.name, q.is_paused, q.is_draining, q.max_concurrency, q.max_per_key, q.rate_limit,
       q.rate_window, q.created_at, q.pending, q.active, q.scheduled, q.retrying, q.completed,
       q.dead, q.cancelled, q.enqueued, q.failed,
       (SELECT min(max(coalesce(f.scheduled_at, 0), f.created_at)) FROM (
           SELECT * FROM (SELECT scheduled_at, created_at FROM jobs
                          WHERE queue = q.name AND state = 1 AND priority = 0 ORDER BY seq LIMIT 1)
           UNION ALL
           SELECT * FROM (SELECT scheduled_at, created_at FROM jobs
                          WHERE queue = q.name AND state = 1 AND priority = 1 ORDER BY seq LIMIT 1)
           UNION ALL
           SELECT * FROM (SELECT scheduled_at, created_at FROM jobs
                          WHERE queue = q.name AND state = 1 AND priority = 2 ORDER BY seq LIMIT 1)
       ) f)
FROM queues q
WHERE ?1 IS NULL OR q.name = ?1
ORDER BY q.name;

-- name: touch
UPDATE job_sequence SET last = last;

-- name: queue_settings
SELECT q.is_paused, q.is_draining, q.max_concurrency, q.max_per_key, q.rate_limit, q.rate_window,
       d.options, d.payload_schema
FROM queues q LEFT JOIN queue_defaults d ON d.queue = q.name WHERE q.name = ?;
