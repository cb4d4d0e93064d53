-- Limits of API keys; NULL means no limit.
ALTER TABLE api_keys ADD COLUMN max_rate INTEGER;     -- requests a second
ALTER TABLE api_keys ADD COLUMN max_waiting INTEGER;  -- jobs that wait
ALTER TABLE api_keys ADD COLUMN max_bytes INTEGER;    -- bytes of payloads

-- Name of the key whose limits count the job; NULL for keys without such limits.
ALTER TABLE jobs ADD COLUMN charged_to TEXT;
ALTER TABLE jobs ADD COLUMN charged_bytes INTEGER NOT NULL DEFAULT 0;  -- of the payload
ALTER TABLE batches ADD COLUMN charged_to TEXT;  -- for the callback job

-- The sums of the charged jobs by key, which each commit updates, so that they are always exact.
CREATE TABLE key_usage (
    name    TEXT PRIMARY KEY,
    waiting INTEGER NOT NULL,  -- scheduled, pending and retrying jobs
    bytes   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The columns of a job's head, on which transitions are decided, in the order of records.JobHead.
DROP VIEW job_heads;
CREATE VIEW heads AS
SELECT seq, id, queue, state, priority, attempt, max_retries, backoff, base_delay, max_delay,
       unique_key, unique_period, batch_id, is_batch_counted, worker_id, hostname, lease_token,
       lease_ms, lease_expires_at, scheduled_at, expire_at, created_at, started_at, finished_at,
       failed_at, is_cancel_requested, concurrency_key, charged_to, charged_bytes
FROM jobs;
