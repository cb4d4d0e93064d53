-- works with servers of schema version: 1

-- Webhooks, which send events to URLs, and sources, whose requests become jobs.
CREATE TABLE webhooks (
    kind     TEXT    NOT NULL,  -- webhook or source
    name     TEXT    NOT NULL,
    position INTEGER NOT NULL,  -- id of the last event that a webhook has handled
    document TEXT    NOT NULL,  -- JSON of store.webhooks.WebhookRecord or SourceRecord
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- For deliveries in order: finds the jobs that wait for their next attempt, by key.
CREATE INDEX jobs_waiting_by_key ON jobs (queue, concurrency_key)
    WHERE due_at IS NOT NULL AND concurrency_key IS NOT NULL;
