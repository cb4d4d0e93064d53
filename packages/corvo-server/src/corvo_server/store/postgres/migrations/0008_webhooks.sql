-- works with servers of schema version: 1

-- Webhooks, which send events to URLs, and sources, whose requests become jobs.
CREATE TABLE webhooks (
    kind     text   COLLATE "C" NOT NULL,  -- webhook or source
    name     text   COLLATE "C" NOT NULL,
    position bigint NOT NULL,              -- id of the last event that a webhook has handled
    document text   NOT NULL,              -- JSON of store.webhooks.WebhookRecord or SourceRecord
    PRIMARY KEY (kind, name)
);

-- For deliveries in order: finds the jobs that wait for their next attempt, by key.
CREATE INDEX jobs_waiting_by_key ON jobs (queue, concurrency_key)
    WHERE state IN (0, 3) AND concurrency_key IS NOT NULL;
