-- name: last_event_id
SELECT coalesce(max(id), 0) FROM events;

-- name: insert_event
INSERT INTO events (id, type, job_seq, job_id, queue, at, data) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: insert_events
-- Inserts equal events of several stored jobs, with consecutive event ids from ?1. The job ids come
-- from the table of jobs, because passing them as JSON would cost more than the join.
INSERT INTO events (id, type, job_seq, job_id, queue, at, data)
SELECT ?1 + w.key, ?2, j.seq, j.id, ?3, ?4, ?5 FROM json_each(?6) w JOIN jobs j ON j.seq = w.value;

-- name: events_of_job
-- The index finds the seq. The id is compared as well, so that a job never shows events of another.
-- Only the newest events: those whose newer ones have fewer bytes than the last parameter.
SELECT id, type, job_id, queue, at, data FROM (
    SELECT id, type, job_id, queue, at, data,
           sum(200 + coalesce(length(CAST(data AS BLOB)), 0)) OVER (
               ORDER BY id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS newer
    FROM events WHERE job_seq = ? AND job_id = ?
)
WHERE coalesce(newer, 0) < ?
ORDER BY id;

-- name: events_of_jobs
SELECT id, type, job_id, queue, at, data FROM events
WHERE job_seq IN (SELECT value FROM json_each(?)) AND type IN (SELECT value FROM json_each(?));

-- name: events_after
SELECT id, type, job_id, queue, at, data FROM events WHERE id > ? ORDER BY id LIMIT ?;
