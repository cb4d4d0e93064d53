-- name: list_webhooks
SELECT name, position, document FROM webhooks WHERE kind = ? ORDER BY name;

-- name: save_webhook
INSERT INTO webhooks (kind, name, position, document) VALUES (?1, ?2, coalesce(?3, 0), ?4)
ON CONFLICT (kind, name) DO UPDATE SET
    position = coalesce(?3, position),
    document = excluded.document;

-- name: move_webhook
UPDATE webhooks SET position = ? WHERE kind = ? AND name = ?;

-- name: remove_webhook
DELETE FROM webhooks WHERE kind = ? AND name = ?;

-- name: tags_of_jobs
SELECT id, tags FROM jobs WHERE id IN (SELECT value FROM json_each(?)) AND tags IS NOT NULL;
