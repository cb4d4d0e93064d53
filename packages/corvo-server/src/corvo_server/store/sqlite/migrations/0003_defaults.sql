-- works with servers of schema version: 1

-- Defaults for jobs whose request leaves options out. They are not in the table of queues, because
-- SQLite would write the JSON Schema again with each change of the counters.
CREATE TABLE queue_defaults (
    queue          TEXT PRIMARY KEY,
    options        TEXT NOT NULL,  -- JSON of store.options.JobOptions
    payload_schema TEXT,           -- JSON Schema of the payloads
    updated_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The options that the request of a schedule gave. The columns of schedules have the values that
-- older servers use. A schedule without a row here was stored by one of them.
CREATE TABLE schedule_options (
    schedule TEXT PRIMARY KEY,
    options  TEXT NOT NULL  -- JSON of store.options.ScheduleOptions
) STRICT, WITHOUT ROWID;
