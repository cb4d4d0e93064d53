-- name: report_workers
INSERT INTO workers (node_id, worker_id, hostname, lists, first_seen, last_fetch, last_heartbeat,
                     stopped_until, last_seen)
SELECT %(node_id)s, r.id, r.hostname, r.lists, r.first_seen, r.last_fetch, r.last_heartbeat,
       r.stopped_until, r.last_seen
FROM json_to_recordset(%(reports)s::json) AS r (
    id text, hostname text, lists text, first_seen bigint, last_fetch bigint,
    last_heartbeat bigint, stopped_until bigint, last_seen bigint
)
ON CONFLICT (node_id, worker_id) DO UPDATE SET
    hostname = excluded.hostname, lists = excluded.lists, first_seen = excluded.first_seen,
    last_fetch = excluded.last_fetch, last_heartbeat = excluded.last_heartbeat,
    stopped_until = excluded.stopped_until, last_seen = excluded.last_seen;

-- name: forget_workers
-- SKIP LOCKED: another node is deleting the row.
DELETE FROM workers WHERE (node_id, worker_id) IN (
    SELECT node_id, worker_id FROM workers
    WHERE last_seen <= %(before)s OR (node_id = %(node_id)s AND last_seen < %(own_before)s)
    ORDER BY node_id, worker_id
    FOR UPDATE SKIP LOCKED
);

-- name: list_workers
SELECT worker_id, hostname, lists, first_seen, last_fetch, last_heartbeat, stopped_until
FROM workers
WHERE last_seen > %(since)s AND node_id <> %(node_id)s
ORDER BY worker_id, node_id;
