-- name: insert_audit
INSERT INTO audit (
    at, operation, actor, key_id, roles, address, request_id, target, queue, before, after, outcome
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: list_audit
SELECT id, at, operation, actor, key_id, roles, address, request_id, target, queue, before, after,
       outcome
FROM audit
WHERE (:before IS NULL OR id < :before)
  AND (:actor IS NULL OR actor = :actor)
  AND (:queue IS NULL OR queue = :queue)
  AND (:operation IS NULL OR operation = :operation)
  AND (:target IS NULL OR target = :target)
  AND (:since IS NULL OR at >= :since)
  AND (:until IS NULL OR at < :until)
ORDER BY id DESC LIMIT :n;

-- name: prune_audit
-- Deletes the oldest entries, up to the first one that is to be kept: a trigger refuses gaps. The
-- newest entry stays, so that ids keep ascending.
DELETE FROM audit
WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT :n)
  AND id < (SELECT max(id) FROM audit)
  AND id < coalesce(
      (SELECT min(id) FROM (SELECT id, at FROM audit ORDER BY id LIMIT :n) AS oldest
       WHERE at > :before),
      (SELECT max(id) FROM audit)
  );
