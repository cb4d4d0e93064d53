-- works with servers of schema version: 1

-- Defaults for jobs whose request leaves options out.
CREATE TABLE queue_defaults (
    queue          text   COLLATE "C" PRIMARY KEY,
    options        text   NOT NULL,  -- JSON of store.options.JobOptions
    payload_schema text,             -- JSON Schema of the payloads
    updated_at     bigint NOT NULL
);

-- The options that the request of a schedule gave. The columns of schedules have the values that
-- older servers use. A schedule without a row here was stored by one of them.
CREATE TABLE schedule_options (
    schedule text COLLATE "C" PRIMARY KEY,
    options  text NOT NULL  -- JSON of store.options.ScheduleOptions
);
