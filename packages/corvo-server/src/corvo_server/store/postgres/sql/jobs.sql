-- name: reserve_seqs
-- Also returns the time of creation of the newest job, so that later jobs are not created before
-- it.
SELECT nextval('jobs_seq'),
       coalesce((SELECT created_at FROM jobs ORDER BY seq DESC LIMIT 1), 0)
FROM generate_series(1, %s);

-- name: last_seq
SELECT coalesce(max(seq), 0) FROM jobs;

-- name: insert_jobs
INSERT INTO jobs (seq, id, queue, state, payload, created_at, priority, max_retries, backoff,
                  base_delay, max_delay, unique_key, unique_period, scheduled_at, expire_at, tags,
                  batch_id, concurrency_key, traceparent, charged_to, charged_bytes)
SELECT seq, id, queue, state, payload, created_at, priority, max_retries, backoff, base_delay,
       max_delay, unique_key, unique_period, scheduled_at, expire_at, tags, batch_id,
       concurrency_key, traceparent, charged_to,
       CASE WHEN charged_to IS NULL THEN 0 ELSE octet_length(payload) END
FROM json_to_recordset(%s) AS new (
    seq bigint, id text, queue text, state smallint, payload text, created_at bigint,
    priority smallint, max_retries integer, backoff smallint, base_delay bigint, max_delay bigint,
    unique_key text, unique_period bigint, scheduled_at bigint, expire_at bigint, tags text,
    batch_id text, concurrency_key text, traceparent text, charged_to text
);

-- name: insert_similar_jobs
-- Inserts jobs that differ only in seq, created_at, id and payload. All other values are sent once.
INSERT INTO jobs (seq, created_at, id, payload, queue, state, priority, max_retries, backoff,
                  base_delay, max_delay, unique_key, unique_period, scheduled_at, expire_at, tags,
                  batch_id, concurrency_key, traceparent, charged_to, charged_bytes)
SELECT seq, created_at, id, payload, %s::text, %s::smallint, %s::smallint, %s::integer,
       %s::smallint, %s::bigint, %s::bigint, %s::text, %s::bigint, %s::bigint, %s::bigint, %s::text,
       %s::text, %s::text, %s::text, %s::text,
       CASE WHEN %s::text IS NULL THEN 0 ELSE octet_length(payload) END
FROM ROWS FROM (
    unnest(%s::bigint[], %s::bigint[]), json_array_elements_text(%s), json_array_elements_text(%s)
) AS new (seq, created_at, id, payload);

-- name: known_by_id
-- Ids sort by time of creation, so the range of new ids rarely contains a stored one. The EXISTS
-- then saves looking up each id.
SELECT id, seq, state, batch_id, queue FROM jobs
WHERE EXISTS (SELECT FROM jobs WHERE id BETWEEN %(least)s AND %(greatest)s)
  AND id IN (SELECT json_array_elements_text(%(ids)s) COLLATE "C");

-- name: other_payloads
-- Returns the places of the payloads, from 1.
SELECT new.place
FROM ROWS FROM (json_array_elements_text(%s), json_array_elements_text(%s))
    WITH ORDINALITY AS new (id, payload, place)
JOIN jobs ON jobs.id = new.id COLLATE "C" AND jobs.payload <> new.payload;

-- name: heads_by_id
-- Locks in the order of seq, so that two transactions do not deadlock.
SELECT * FROM heads
WHERE id IN (SELECT json_array_elements_text(%s) COLLATE "C")
ORDER BY seq
FOR UPDATE;

-- name: lock_cached_jobs
-- Locks the rows and counts those that were last written by one of these transactions. Only if all
-- are counted, the cached heads are current.
SELECT count(*) FROM (
    SELECT FROM jobs
    WHERE seq = ANY(%s::bigint[]) AND xmin = ANY(%s::xid[])
    ORDER BY seq
    FOR UPDATE
) AS locked;

-- name: update_heads
-- NULL keeps a document; '' as result removes the result.
UPDATE jobs
SET queue = new.queue, state = new.state, priority = new.priority, attempt = new.attempt,
    max_retries = new.max_retries, is_batch_counted = new.is_batch_counted,
    worker_id = new.worker_id, hostname = new.hostname, lease_token = new.lease_token,
    lease_ms = new.lease_ms, lease_expires_at = new.lease_expires_at,
    scheduled_at = new.scheduled_at, expire_at = new.expire_at, started_at = new.started_at,
    finished_at = new.finished_at, failed_at = new.failed_at,
    is_cancel_requested = new.is_cancel_requested, concurrency_key = new.concurrency_key,
    result = nullif(coalesce(new.result, jobs.result), ''),
    checkpoint = coalesce(new.checkpoint, jobs.checkpoint),
    progress = coalesce(new.progress, jobs.progress)
FROM json_to_recordset(%s) AS new (
    seq bigint, queue text, state smallint, priority smallint, attempt integer,
    max_retries integer, is_batch_counted boolean, worker_id text, hostname text, lease_token text,
    lease_ms bigint, lease_expires_at bigint, scheduled_at bigint, expire_at bigint,
    started_at bigint, finished_at bigint, failed_at bigint, is_cancel_requested boolean,
    concurrency_key text, result text, checkpoint text, progress text
)
WHERE jobs.seq = new.seq;

-- name: start_jobs
-- A lease token is a prefix, the same for all jobs of a fetch, followed by the seq.
UPDATE jobs
SET state = 2, attempt = %s, worker_id = %s, hostname = %s, lease_token = %s::text || seq,
    lease_ms = %s, lease_expires_at = %s, started_at = %s
WHERE seq = ANY(%s::bigint[]);

-- name: complete_jobs
UPDATE jobs
SET state = 4, is_batch_counted = %s, lease_expires_at = NULL, finished_at = %s
WHERE seq = ANY(%s::bigint[]);

-- name: complete_jobs_with_results
UPDATE jobs
SET state = 4, is_batch_counted = %s, lease_expires_at = NULL, finished_at = %s,
    result = coalesce(new.result, jobs.result)
FROM ROWS FROM (unnest(%s::bigint[]), json_array_elements_text(%s)) AS new (seq, result)
WHERE jobs.seq = new.seq;

-- name: replace_jobs
UPDATE jobs
SET payload = new.payload, tags = new.tags, backoff = new.backoff, base_delay = new.base_delay,
    max_delay = new.max_delay,
    charged_bytes = CASE WHEN charged_to IS NULL THEN 0 ELSE octet_length(new.payload) END
FROM json_to_recordset(%s) AS new (
    seq bigint, payload text, tags text, backoff smallint, base_delay bigint, max_delay bigint
)
WHERE jobs.seq = new.seq;

-- name: insert_failures
INSERT INTO job_failures (job_seq, attempt, error, backtrace, at)
SELECT job_seq, attempt, error, backtrace, at
FROM json_to_recordset(%s) AS new (
    job_seq bigint, attempt integer, error text, backtrace text, at bigint
);

-- name: delete_jobs
-- There is no foreign key that would delete the failures (see the migration).
WITH failures AS (
    DELETE FROM job_failures
    WHERE job_seq IN (SELECT json_array_elements_text(%(seqs)s)::bigint)
)
DELETE FROM jobs WHERE seq IN (SELECT json_array_elements_text(%(seqs)s)::bigint);

-- name: records_by_id
SELECT h.*, j.payload, j.tags, j.traceparent, j.progress, j.checkpoint, j.result
FROM heads h JOIN jobs j ON j.seq = h.seq
WHERE h.id IN (SELECT json_array_elements_text(%s) COLLATE "C");

-- name: sizes_by_id
-- Bytes of the documents of jobs, and of the errors that failures_by_seq returns.
SELECT j.id, octet_length(j.payload)::bigint + coalesce(octet_length(j.tags), 0)
       + coalesce(octet_length(j.progress), 0) + coalesce(octet_length(j.checkpoint), 0)
       + coalesce(octet_length(j.result), 0)
       + least(%s, coalesce((SELECT sum(octet_length(error) + coalesce(octet_length(backtrace), 0))
                             FROM job_failures WHERE job_seq = j.seq), 0))::bigint
FROM jobs j WHERE j.id IN (SELECT json_array_elements_text(%s) COLLATE "C");

-- name: failures_by_seq
-- The newest failures of each job: those whose newer ones have fewer bytes than the last parameter.
SELECT job_seq, attempt, error, backtrace, at FROM (
    SELECT number, job_seq, attempt, error, backtrace, at,
           sum(octet_length(error) + coalesce(octet_length(backtrace), 0)) OVER (
               PARTITION BY job_seq ORDER BY number DESC
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS newer
    FROM job_failures WHERE job_seq IN (SELECT json_array_elements_text(%s)::bigint)
) AS failures
WHERE coalesce(newer, 0) < %s
ORDER BY number;

-- name: due_heads
-- SKIP LOCKED here and below: a locked job is being changed by another transaction, and the next
-- run finds it if it is still due.
SELECT * FROM heads
WHERE state IN (0, 3) AND scheduled_at <= %s ORDER BY scheduled_at LIMIT %s
FOR UPDATE SKIP LOCKED;

-- name: expired_lease_heads
SELECT * FROM heads
WHERE state = 2 AND lease_expires_at <= %s ORDER BY lease_expires_at, seq LIMIT %s
FOR UPDATE SKIP LOCKED;

-- name: expired_heads
SELECT * FROM heads
WHERE state IN (0, 1, 3) AND expire_at IS NOT NULL AND expire_at <= %s
ORDER BY expire_at, seq LIMIT %s
FOR UPDATE SKIP LOCKED;

-- name: finished_heads
-- The index is by state and queue before finished_at, so it is read for each queue.
SELECT h.* FROM (SELECT DISTINCT queue FROM queue_counts) q CROSS JOIN LATERAL (
    SELECT * FROM heads
    WHERE state = %(state)s AND queue = q.queue AND finished_at IS NOT NULL
      AND finished_at <= %(before)s
    ORDER BY finished_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) h LIMIT %(limit)s;
