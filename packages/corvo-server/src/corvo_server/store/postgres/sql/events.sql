-- name: announce_events
-- Takes an advisory lock whose key contains the last allocated id. events.py explains the protocol.
SELECT pg_advisory_xact_lock_shared(
    %s + CASE WHEN is_called THEN last_value ELSE last_value - 1 END
) FROM events_id_seq;

-- name: insert_events
INSERT INTO events (type, job_seq, job_id, queue, at, data)
SELECT type, job_seq, job_id, queue, at, data
FROM json_to_recordset(%s) AS new (
    type text, job_seq bigint, job_id text, queue text, at bigint, data text
);

-- name: insert_similar_events
INSERT INTO events (type, queue, data, job_seq, at, job_id)
SELECT %s, %s, %s, seq, at, id
FROM ROWS FROM (unnest(%s::bigint[], %s::bigint[]), json_array_elements_text(%s))
    AS job (seq, at, id);

-- name: last_allocated_event_id
SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM events_id_seq;

-- name: first_announced_event_id
-- pg_locks shows a 64-bit advisory key as its upper half (classid) and lower half (objid).
SELECT min((classid::bigint << 32 | objid::bigint) - %(base)s)
FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32 | objid::bigint) BETWEEN %(base)s AND %(base)s + %(span)s;

-- name: events_of_job
-- The index finds the seq. The id is compared as well, so that a job never shows events of another.
-- Only the newest events: those whose newer ones have fewer bytes than the last parameter.
SELECT id, type, job_id, queue, at, data FROM (
    SELECT id, type, job_id, queue, at, data,
           sum(200 + coalesce(octet_length(data), 0)) OVER (
               ORDER BY id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS newer
    FROM events WHERE job_seq = %s AND job_id = %s
) AS events
WHERE coalesce(newer, 0) < %s
ORDER BY id;

-- name: events_of_jobs
SELECT id, type, job_id, queue, at, data FROM events
WHERE job_seq = ANY(%s::bigint[]) AND type IN (SELECT json_array_elements_text(%s));

-- name: events_between
-- Stops before the first event to which the data of earlier events has the last parameter's length
-- in bytes; null for no such limit.
SELECT id, type, job_id, queue, at, data FROM (
    SELECT id, type, job_id, queue, at, data, coalesce(sum(octet_length(data)) OVER (
        ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0) AS before
    FROM (SELECT * FROM events WHERE id > %s AND id <= %s ORDER BY id LIMIT %s) AS first_events
) AS found
WHERE before < coalesce(%s, before + 1) ORDER BY id;

-- name: prune_events
DELETE FROM events
WHERE id IN (SELECT id FROM (SELECT id, at FROM events ORDER BY id LIMIT %s) e WHERE at <= %s)
  AND id < (SELECT max(id) FROM events);  -- the newest stays, as on SQLite
