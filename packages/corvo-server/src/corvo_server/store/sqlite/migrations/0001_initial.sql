-- Times are milliseconds since the epoch. store/rows/codes.py defines the codes of state and
-- backoff.

CREATE TABLE jobs (
    seq              INTEGER PRIMARY KEY,  -- the order of enqueueing
    id               TEXT    NOT NULL UNIQUE,
    queue            TEXT    NOT NULL,
    state            INTEGER NOT NULL,
    priority         INTEGER NOT NULL,
    attempt          INTEGER NOT NULL DEFAULT 0,
    max_retries      INTEGER NOT NULL,
    backoff          INTEGER NOT NULL,
    base_delay       INTEGER NOT NULL,
    max_delay        INTEGER NOT NULL,
    unique_key       TEXT,
    unique_period    INTEGER NOT NULL,
    batch_id         TEXT REFERENCES batches (id),
    is_batch_counted INTEGER NOT NULL DEFAULT 0,
    worker_id        TEXT,
    hostname         TEXT,
    lease_token      TEXT,
    lease_ms         INTEGER NOT NULL DEFAULT 0,
    lease_expires_at INTEGER,
    scheduled_at     INTEGER,
    expire_at        INTEGER,
    created_at       INTEGER NOT NULL,
    started_at       INTEGER,
    finished_at      INTEGER,
    failed_at        INTEGER,
    is_cancel_requested INTEGER NOT NULL DEFAULT 0,
    concurrency_key  TEXT,
    -- Copies of other columns for partial indexes; NULL in all other states. If the condition of
    -- an index named `state`, SQLite would evaluate it at every change of state of every job. Few
    -- jobs are scheduled, expire or have a concurrency key.
    due_at           INTEGER,  -- scheduled_at, of scheduled and retrying jobs
    lapses_at        INTEGER,  -- expire_at, of scheduled, pending and retrying jobs
    pending_key      TEXT,     -- concurrency_key, of pending jobs
    active_key       TEXT,     -- concurrency_key, of active jobs
    payload          TEXT    NOT NULL,
    tags             TEXT,
    traceparent      TEXT,
    progress         TEXT,
    checkpoint       TEXT,
    result           TEXT
) STRICT;

-- The highest seq of a removed job. A new job gets a higher seq, because a cursor that points at
-- the removed job must come before it.
CREATE TABLE job_sequence (last INTEGER NOT NULL) STRICT;
INSERT INTO job_sequence VALUES (0);

-- The indexes are partial, so that finished jobs cost nothing and each index contains only the jobs
-- that it is for. jobs_pending contains all columns that a fetch reads, so a fetch finds its jobs
-- without reading the table.
CREATE INDEX jobs_pending ON jobs (queue, priority, seq, expire_at, concurrency_key, state)
    WHERE state = 1;
CREATE INDEX jobs_pending_by_key ON jobs (queue, pending_key, priority, seq, expire_at)
    WHERE pending_key IS NOT NULL;
CREATE INDEX jobs_active_by_key ON jobs (queue, active_key) WHERE active_key IS NOT NULL;
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_lapsing ON jobs (lapses_at) WHERE lapses_at IS NOT NULL;
CREATE INDEX jobs_leased ON jobs (lease_expires_at) WHERE lease_expires_at IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (state, queue, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_batch ON jobs (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX jobs_unique_key ON jobs (unique_key) WHERE unique_key IS NOT NULL;

-- The index of tags for searches. A segment is 4096 successive jobs (sqlite/tags.py), so that a
-- commit writes few pages. The writer adds the tags of new jobs; triggers handle changes and
-- deletions.
CREATE TABLE job_tags (
    segment INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    job_seq INTEGER NOT NULL,
    PRIMARY KEY (segment, key, value, job_seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER job_tags_of_deleted AFTER DELETE ON jobs WHEN old.tags IS NOT NULL BEGIN
    DELETE FROM job_tags
    WHERE (segment, key, value, job_seq) IN (
        SELECT old.seq >> 12, key, value, old.seq FROM json_each(old.tags)
    );
END;

CREATE TRIGGER job_tags_of_changed AFTER UPDATE OF tags ON jobs
WHEN old.tags IS NOT new.tags BEGIN
    DELETE FROM job_tags
    WHERE (segment, key, value, job_seq) IN (
        SELECT old.seq >> 12, key, value, old.seq FROM json_each(old.tags)
    );
    INSERT INTO job_tags SELECT new.seq >> 12, key, value, new.seq FROM json_each(new.tags);
END;

-- The columns of a job's head, on which transitions are decided, in the order of records.JobHead.
CREATE VIEW job_heads AS
SELECT seq, id, queue, state, priority, attempt, max_retries, backoff, base_delay, max_delay,
       unique_key, unique_period, batch_id, is_batch_counted, worker_id, hostname, lease_token,
       lease_ms, lease_expires_at, scheduled_at, expire_at, created_at, started_at, finished_at,
       failed_at, is_cancel_requested, concurrency_key
FROM jobs;

CREATE TABLE job_failures (
    job_seq   INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    attempt   INTEGER NOT NULL,
    error     TEXT    NOT NULL,
    backtrace TEXT,
    at        INTEGER NOT NULL
) STRICT;
CREATE INDEX job_failures_job ON job_failures (job_seq);

CREATE TABLE unique_locks (
    queue      TEXT    NOT NULL,
    unique_key TEXT    NOT NULL,
    job_seq    INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (queue, unique_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX unique_locks_job ON unique_locks (job_seq);
CREATE INDEX unique_locks_expiry ON unique_locks (expires_at);

CREATE TABLE batches (
    id               TEXT PRIMARY KEY,
    total            INTEGER NOT NULL,
    succeeded        INTEGER NOT NULL DEFAULT 0,
    failed           INTEGER NOT NULL DEFAULT 0,
    cancelled        INTEGER NOT NULL DEFAULT 0,
    callback_queue   TEXT,
    callback_job_id  TEXT,
    callback_payload TEXT,
    created_at       INTEGER NOT NULL,
    finished_at      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX batches_running ON batches (id) WHERE finished_at IS NULL;
CREATE INDEX batches_finished ON batches (finished_at) WHERE finished_at IS NOT NULL;

-- Settings, and counters that each commit updates, so that they are always exact.
CREATE TABLE queues (
    name            TEXT PRIMARY KEY,
    is_paused       INTEGER NOT NULL DEFAULT 0,
    is_draining     INTEGER NOT NULL DEFAULT 0,
    max_concurrency INTEGER,
    max_per_key     INTEGER,  -- active jobs of one concurrency_key
    rate_limit      INTEGER,
    rate_window     INTEGER,
    created_at      INTEGER NOT NULL,
    scheduled       INTEGER NOT NULL DEFAULT 0,
    pending         INTEGER NOT NULL DEFAULT 0,
    active          INTEGER NOT NULL DEFAULT 0,
    retrying        INTEGER NOT NULL DEFAULT 0,
    completed       INTEGER NOT NULL DEFAULT 0,
    dead            INTEGER NOT NULL DEFAULT 0,
    cancelled       INTEGER NOT NULL DEFAULT 0,
    enqueued        INTEGER NOT NULL DEFAULT 0,  -- jobs enqueued since the queue exists
    failed          INTEGER NOT NULL DEFAULT 0   -- failed attempts since the queue exists
) STRICT, WITHOUT ROWID;

-- Number of jobs started by queue and time, for queues with a rate limit. Rows older than the
-- window of the rate limit are deleted.
CREATE TABLE throttle_starts (
    queue  TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    starts INTEGER NOT NULL,
    PRIMARY KEY (queue, at)
) STRICT, WITHOUT ROWID;

-- The columns are in the order of schedules.ScheduleRecord.
CREATE TABLE schedules (
    id               TEXT    NOT NULL PRIMARY KEY,
    name             TEXT    NOT NULL UNIQUE,
    queue            TEXT    NOT NULL,
    cron             TEXT    NOT NULL,
    timezone         TEXT    NOT NULL,
    payload          TEXT    NOT NULL,
    priority         INTEGER NOT NULL,
    max_retries      INTEGER NOT NULL,
    unique_key       TEXT,
    unique_period    INTEGER NOT NULL,
    tags             TEXT,
    misfire          TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    next_run         INTEGER,  -- the next occurrence that is not handled yet
    is_paused        INTEGER NOT NULL,
    last_run         INTEGER,
    last_job_id      TEXT,
    last_skipped     INTEGER,
    last_skip_reason TEXT
) STRICT;
CREATE INDEX schedules_due ON schedules (next_run) WHERE is_paused = 0;

CREATE TABLE bulk_operations (
    id          TEXT PRIMARY KEY,
    request     TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    total       INTEGER NOT NULL,
    processed   INTEGER NOT NULL,
    affected    INTEGER NOT NULL,
    errors      INTEGER NOT NULL,
    error       TEXT,
    cursor      INTEGER NOT NULL,  -- progress: the last seq processed, or how many ids of the list
    last_seq    INTEGER NOT NULL,  -- highest seq of the jobs that the operation covers
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX bulk_unended ON bulk_operations (id) WHERE finished_at IS NULL;

-- The wall-clock time minus the server's time, the sum of the jumps of the wall clock. All times in
-- other tables are server times, except the occurrences of schedules. No row: 0.
CREATE TABLE clock (
    is_one      INTEGER PRIMARY KEY CHECK (is_one = 1),
    wall_offset INTEGER NOT NULL
) STRICT;

-- Append-only. Ids increase and are never used twice.
CREATE TABLE events (
    id      INTEGER PRIMARY KEY,
    type    TEXT    NOT NULL,
    job_seq INTEGER NOT NULL,
    job_id  TEXT    NOT NULL,
    queue   TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    data    TEXT
) STRICT;
CREATE INDEX events_job ON events (job_seq);
