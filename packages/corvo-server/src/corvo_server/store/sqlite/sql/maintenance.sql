-- name: due_heads
-- Selects from jobs first: the partial index on due_at serves the condition and the order.
SELECT h.* FROM jobs j JOIN heads h ON h.seq = j.seq
WHERE j.due_at <= ? ORDER BY j.due_at LIMIT ?;

-- name: expired_lease_heads
SELECT * FROM heads
WHERE lease_expires_at <= ? ORDER BY lease_expires_at LIMIT ?;

-- name: expired_heads
SELECT h.* FROM jobs j JOIN heads h ON h.seq = j.seq
WHERE j.lapses_at <= ? ORDER BY j.lapses_at LIMIT ?;

-- name: next_due
SELECT min(due_at) FROM jobs WHERE due_at IS NOT NULL;

-- name: next_lease_expiry
SELECT min(lease_expires_at) FROM jobs WHERE lease_expires_at IS NOT NULL;

-- name: next_expiry
SELECT min(lapses_at) FROM jobs WHERE lapses_at IS NOT NULL;

-- name: finished_heads
-- The condition on queue gives SQLite a value for each column of jobs_finished before finished_at.
SELECT * FROM heads
WHERE state = ? AND queue IN (SELECT name FROM queues) AND finished_at <= ? LIMIT ?;

-- name: prune_events
DELETE FROM events
WHERE id IN (SELECT id FROM (SELECT id, at FROM events ORDER BY id LIMIT ?) WHERE at <= ?)
  AND id < (SELECT max(id) FROM events);  -- the newest stays: the next id is computed from it

-- name: prune_locks
DELETE FROM unique_locks
WHERE (queue, unique_key) IN (
    SELECT queue, unique_key FROM unique_locks WHERE expires_at <= ? LIMIT ?
);

-- name: prune_batches
DELETE FROM batches
WHERE id IN (
    SELECT id FROM batches b
    WHERE finished_at <= ? AND NOT EXISTS (SELECT 1 FROM jobs WHERE batch_id = b.id) LIMIT ?
);
