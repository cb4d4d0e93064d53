-- name: create_key_ring
INSERT INTO key_ring (only_row, version, secret) VALUES (1, 0, %s) ON CONFLICT DO NOTHING;

-- name: lock_key_ring
SELECT version, secret FROM key_ring FOR UPDATE;

-- name: find_key_ring
SELECT version, secret FROM key_ring;

-- name: count_key_change
UPDATE key_ring SET version = version + 1;

-- name: list_keys
SELECT id, name, hash, roles, queues, created_at, created_by, expires_at, revoked_at, last_used_at,
       max_rate, max_waiting, max_bytes
FROM api_keys ORDER BY created_at, id;

-- name: save_key
INSERT INTO api_keys (
    id, name, hash, roles, queues, created_at, created_by, expires_at, revoked_at, last_used_at,
    max_rate, max_waiting, max_bytes
)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET
    expires_at = excluded.expires_at,
    revoked_at = excluded.revoked_at;

-- name: note_key_use
UPDATE api_keys SET last_used_at = %(at)s
WHERE id = %(id)s AND coalesce(last_used_at, 0) < %(at)s;
