-- name: insert_audit
INSERT INTO audit (
    at, operation, actor, key_id, roles, address, request_id, target, queue, before, after, outcome
)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s);

-- name: list_audit
SELECT id, at, operation, actor, key_id, roles, address, request_id, target, queue, before, after,
       outcome
FROM audit
WHERE (%(before)s::bigint IS NULL OR id < %(before)s)
  AND (%(actor)s::text IS NULL OR actor = %(actor)s)
  AND (%(queue)s::text IS NULL OR queue = %(queue)s)
  AND (%(operation)s::text IS NULL OR operation = %(operation)s)
  AND (%(target)s::text IS NULL OR target = %(target)s)
  AND (%(since)s::bigint IS NULL OR at >= %(since)s)
  AND (%(until)s::bigint IS NULL OR at < %(until)s)
ORDER BY id DESC LIMIT %(n)s;

-- name: prune_audit
-- Deletes the oldest entries, up to the first one that is to be kept: a trigger refuses gaps. The
-- newest entry stays, as on SQLite.
DELETE FROM audit
WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT %(n)s)
  AND id < (SELECT max(id) FROM audit)
  AND id < coalesce(
      (SELECT min(id) FROM (SELECT id, at FROM audit ORDER BY id LIMIT %(n)s) AS oldest
       WHERE at > %(before)s),
      (SELECT max(id) FROM audit)
  );
