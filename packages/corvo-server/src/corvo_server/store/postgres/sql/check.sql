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
stored AS (
    SELECT queue, sum(scheduled) AS scheduled, sum(pending) AS pending, sum(active) AS active,
           sum(retrying) AS retrying, sum(completed) AS completed, sum(dead) AS dead,
           sum(cancelled) AS cancelled
    FROM queue_counts GROUP BY queue
),
both_counts AS (
    SELECT coalesce(s.queue, r.queue) AS queue,
           ARRAY[coalesce(s.scheduled, 0), coalesce(s.pending, 0), coalesce(s.active, 0),
                 coalesce(s.retrying, 0), coalesce(s.completed, 0), coalesce(s.dead, 0),
                 coalesce(s.cancelled, 0)]::bigint[] AS stored,
           ARRAY[coalesce(r.scheduled, 0), coalesce(r.pending, 0), coalesce(r.active, 0),
                 coalesce(r.retrying, 0), coalesce(r.completed, 0), coalesce(r.dead, 0),
                 coalesce(r.cancelled, 0)]::bigint[] AS counted
    FROM stored s FULL JOIN recount r ON r.queue = s.queue
)
SELECT queue, stored, counted FROM both_counts WHERE stored <> counted;

-- name: wrong_locks
SELECT l.queue, l.unique_key, l.job_id FROM unique_locks l LEFT JOIN jobs j ON j.seq = l.job_seq
WHERE j.seq IS NULL OR j.state >= 4 OR j.queue <> l.queue
   OR j.unique_key IS DISTINCT FROM l.unique_key OR j.id <> l.job_id;

-- name: wrong_batches
WITH uncounted AS (
    SELECT batch_id, count(*) AS jobs FROM jobs
    WHERE batch_id IS NOT NULL AND NOT is_batch_counted GROUP BY batch_id
)
SELECT b.id, b.total, b.succeeded + b.failed + b.cancelled, coalesce(u.jobs, 0)
FROM batches b LEFT JOIN uncounted u ON u.batch_id = b.id
WHERE b.succeeded + b.failed + b.cancelled + coalesce(u.jobs, 0) <> b.total
   OR (b.finished_at IS NOT NULL) <> (b.succeeded + b.failed + b.cancelled = b.total);

-- name: jobs_without_batch
SELECT id, batch_id FROM jobs j
WHERE batch_id IS NOT NULL AND NOT EXISTS (SELECT FROM batches WHERE id = j.batch_id);

-- name: failures_without_job
SELECT DISTINCT job_seq FROM job_failures f
WHERE NOT EXISTS (SELECT FROM jobs WHERE seq = f.job_seq);

-- name: wrong_leases
SELECT id FROM jobs
WHERE (state = 2) <> (lease_expires_at IS NOT NULL)
   OR (state = 2 AND (lease_token IS NULL OR worker_id IS NULL));

-- name: wrong_finish_times
SELECT id FROM jobs WHERE (state >= 4) <> (finished_at IS NOT NULL);

-- name: wrong_times
SELECT id FROM jobs WHERE state IN (0, 3) AND scheduled_at IS NULL;

-- name: wrong_sequences
SELECT 'jobs', max(seq) FROM jobs HAVING max(seq) > (SELECT last_value FROM jobs_seq)
UNION ALL
SELECT 'events', max(id) FROM events HAVING max(id) > (SELECT last_value FROM events_id_seq)
UNION ALL
SELECT 'audit', max(id) FROM audit HAVING max(id) > (SELECT last_value FROM audit_id_seq)
UNION ALL
SELECT 'job_failures', max(number) FROM job_failures
HAVING max(number) > (SELECT last_value FROM job_failures_number_seq);

-- name: events_without_job
-- The job of an event exists or was removed. A seq that the sequence has not returned is of none.
SELECT e.id, e.job_id, e.job_seq FROM events e LEFT JOIN jobs j ON j.seq = e.job_seq
WHERE e.job_seq < 1 OR e.job_seq > (SELECT last_value FROM jobs_seq) OR j.id <> e.job_id;

-- name: missing_audit_triggers
SELECT name FROM (VALUES ('audit_is_never_changed'), ('audit_ends_with_the_oldest')) AS wanted (name)
WHERE NOT EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = 'audit'::regclass AND tgname = wanted.name AND tgenabled <> 'D'
);
