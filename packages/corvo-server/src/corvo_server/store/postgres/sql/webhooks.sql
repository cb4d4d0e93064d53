-- name: list_webhooks
SELECT name, position, document FROM webhooks WHERE kind = %s ORDER BY name;

-- name: lock_webhooks
SELECT name, position, document FROM webhooks WHERE kind = %s ORDER BY name FOR UPDATE;

-- name: save_webhook
INSERT INTO webhooks AS w (kind, name, position, document)
VALUES (%s, %s, coalesce(%s::bigint, -1), %s)
ON CONFLICT (kind, name) DO UPDATE SET
    position = CASE WHEN excluded.position < 0 THEN w.position ELSE excluded.position END,
    document = excluded.document;

-- name: move_webhook
UPDATE webhooks SET position = %s WHERE kind = %s AND name = %s;

-- name: remove_webhook
DELETE FROM webhooks WHERE kind = %s AND name = %s;

-- name: tags_of_jobs
SELECT id, tags FROM jobs
WHERE id IN (SELECT json_array_elements_text(%s) COLLATE "C") AND tags IS NOT NULL;
