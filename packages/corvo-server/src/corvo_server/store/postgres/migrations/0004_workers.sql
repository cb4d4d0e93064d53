-- works with servers of schema version: 1

-- What each node knows about the workers that called it, for the other nodes. A row with
-- stopped_until says that the worker signed off: rows of other nodes that were last seen until then
-- do not count. Rows that were last seen an hour ago do not count either, and are deleted later.
CREATE TABLE workers (
    node_id        text   COLLATE "C" NOT NULL,
    worker_id      text   COLLATE "C" NOT NULL,
    hostname       text,
    lists          text   NOT NULL,  -- JSON: [[[queue, ...], time of the last fetch], ...]
    first_seen     bigint,
    last_fetch     bigint,
    last_heartbeat bigint,
    stopped_until  bigint,
    last_seen      bigint NOT NULL,
    PRIMARY KEY (node_id, worker_id)
) WITH (fillfactor = 50);
