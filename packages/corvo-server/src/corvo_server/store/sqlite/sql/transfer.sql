-- The progress of a transfer into this database. Servers refuse to start while this table exists.

-- name: has_transfer
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'transfer';

-- name: create_transfer
CREATE TABLE transfer (
    name   TEXT PRIMARY KEY,  -- table; '' for the row that describes the transfer
    last   TEXT    NOT NULL,  -- key of the last row written; in the row '', the source
    rows   INTEGER,           -- rows written
    digest INTEGER,           -- digest of the rows written
    expected TEXT             -- only in the row '': rows of the source by table, as JSON
) STRICT, WITHOUT ROWID;

-- name: begin_transfer
INSERT INTO transfer (name, last, expected) VALUES (?, ?, ?);

-- name: transfer_begun
SELECT last, expected FROM transfer WHERE name = '';

-- name: transfer_progress
SELECT name, last, rows, digest FROM transfer WHERE name <> '';

-- name: save_transfer_progress
INSERT INTO transfer (name, last, rows, digest) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE
SET last = excluded.last, rows = excluded.rows, digest = excluded.digest;

-- name: fill_index_columns
-- These columns exist only on SQLite, so the source of a transfer does not have them.
UPDATE jobs SET
    due_at = CASE WHEN state IN (0, 3) THEN scheduled_at END,
    lapses_at = CASE WHEN state IN (0, 1, 3) THEN expire_at END,
    pending_key = CASE WHEN state = 1 THEN concurrency_key END,
    active_key = CASE WHEN state = 2 THEN concurrency_key END
WHERE seq BETWEEN ? AND ?;

-- name: end_transfer
DROP TABLE transfer;
