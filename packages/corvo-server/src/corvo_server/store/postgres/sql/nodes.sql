-- clock_timestamp() is the time at which a statement runs. now() would be the begin of the
-- transaction. server_time() is that time without the jumps of the database's clock.

-- name: record_heartbeat
INSERT INTO nodes (id, version, address, started_at, waiting_fetches, backlog, operations,
                   last_seen)
VALUES (%s, %s, %s, %s, %s, %s, %s, server_time())
ON CONFLICT (id) DO UPDATE SET
    address = excluded.address, waiting_fetches = excluded.waiting_fetches,
    backlog = excluded.backlog, operations = excluded.operations, last_seen = excluded.last_seen;

-- name: acquire_leader_lease
-- The table has at most one row. Nodes that try at the same time wait for its lock, so the second
-- one sees the lease of the first. The WHERE clause updates the row only if the node has the lease
-- already (then this renews it) or if the lease has expired. A lease that ends later than one
-- acquired now dates from before the database's clock was set back, and counts as expired.
INSERT INTO lead AS l (is_one, node_id, expires_at)
VALUES (true, %(id)s,
        floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + %(lease_ms)s)
ON CONFLICT (is_one) DO UPDATE SET
    node_id = %(id)s,
    expires_at = floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + %(lease_ms)s
WHERE l.node_id = %(id)s
   OR l.expires_at <= floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
   OR l.expires_at > floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + %(lease_ms)s;

-- name: read_leader_and_time
-- Runs after acquire_leader_lease in the same transaction, so the lease of the node is not expired.
SELECT EXISTS (SELECT 1 FROM lead WHERE node_id = %s),
       floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,
       coalesce((SELECT wall_offset FROM clock), 0),
       (SELECT at FROM events ORDER BY id DESC LIMIT 1);

-- name: read_wall_offset
SELECT wall_offset FROM clock;

-- name: set_wall_offset
INSERT INTO clock VALUES (true, %(offset)s)
ON CONFLICT (is_one) DO UPDATE SET wall_offset = %(offset)s
WHERE clock.wall_offset = %(expected)s;

-- name: release_leader_lease
DELETE FROM lead WHERE node_id = %s;

-- name: delete_node
DELETE FROM nodes WHERE id = %s;

-- name: delete_silent_nodes
-- SKIP LOCKED: a locked row is being deleted by another server, or has just sent a heartbeat.
DELETE FROM nodes
WHERE id IN (SELECT id FROM nodes WHERE last_seen < %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id;

-- name: list_nodes
SELECT n.id, n.version, n.address, n.started_at, n.waiting_fetches, n.backlog, n.operations,
       n.last_seen,
       coalesce(
           l.node_id = n.id
           AND l.expires_at > floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, false
       )
FROM nodes n LEFT JOIN lead l ON l.is_one
WHERE n.last_seen > server_time() - %s
ORDER BY n.started_at, n.id;
