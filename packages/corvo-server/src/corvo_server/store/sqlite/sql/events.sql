-- name: last_event_id
SELECT coalesce(max(id), 0) FROM events;

-- name: insert_event
INSERT INTO events (id, type, job_seq, job_id, queue, at, data) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: events_of_job
SELECT id, type, job_id, queue, at, data FROM events WHERE job_seq = ? AND job_id = ? ORDER BY id;

-- name: events_after
SELECT id, type, job_id, queue, at, data FROM events WHERE id > ? ORDER BY id LIMIT ?;
