-- works with servers of schema version: 1

-- Limits of API keys; NULL means no limit.
ALTER TABLE api_keys
    ADD COLUMN max_rate    bigint,  -- requests a second
    ADD COLUMN max_waiting bigint,  -- jobs that wait
    ADD COLUMN max_bytes   bigint;  -- bytes of payloads

-- Name of the key whose limits count the job; NULL for keys without such limits. Older servers do
-- not count the jobs that they change, so limits are exact once no older server runs.
ALTER TABLE jobs
    ADD COLUMN charged_to    text COLLATE "C",
    ADD COLUMN charged_bytes bigint NOT NULL DEFAULT 0;  -- of the payload
ALTER TABLE batches ADD COLUMN charged_to text COLLATE "C";  -- for the callback job

-- The sums of the charged jobs by key, one row per writer; the sum of the rows is exact. The row
-- with writer '' is locked by an enqueue with a limit.
CREATE TABLE key_usage (
    name    text   COLLATE "C" NOT NULL,
    writer  text   COLLATE "C" NOT NULL,  -- '' for the sum of all deleted writers
    waiting bigint NOT NULL,              -- scheduled, pending and retrying jobs
    bytes   bigint NOT NULL,
    PRIMARY KEY (name, writer)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 500);

-- The columns of a job's head, on which transitions are decided, in the order of records.JobHead.
-- Older servers read the view job_heads, which lacks the last two.
CREATE VIEW heads AS
SELECT seq, id, queue, state, priority, attempt, max_retries, backoff, base_delay, max_delay,
       unique_key, unique_period, batch_id, is_batch_counted, worker_id, hostname, lease_token,
       lease_ms, lease_expires_at, scheduled_at, expire_at, created_at, started_at, finished_at,
       failed_at, is_cancel_requested, concurrency_key, charged_to, charged_bytes
FROM jobs;
