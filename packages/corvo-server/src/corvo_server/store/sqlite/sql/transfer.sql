-- How far a transfer into this database has come. While the table is there, servers refuse it.

-- name: has_transfer
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'transfer';

-- name: create_transfer
CREATE TABLE transfer (
    name   TEXT PRIMARY KEY,  -- of a table, or '' for the whole: from where, and its rows by table
    last   TEXT    NOT NULL,
    rows   INTEGER,
    digest INTEGER,
    expected TEXT
) STRICT, WITHOUT ROWID;

-- name: begin_transfer
INSERT INTO transfer (name, last, expected) VALUES (?, ?, ?);

-- name: transfer_begun
SELECT last, expected FROM transfer WHERE name = '';

-- name: transfer_progress
SELECT name, last, rows, digest FROM transfer WHERE name <> '';

-- name: note_transfer
INSERT INTO transfer (name, last, rows, digest) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET last = excluded.last, rows = excluded.rows, digest = excluded.digest;

-- name: copy_for_indexes
UPDATE jobs SET
    due_at = CASE WHEN state IN (0, 3) THEN scheduled_at END,
    lapses_at = CASE WHEN state IN (0, 1, 3) THEN expire_at END,
    pending_key = CASE WHEN state = 1 THEN concurrency_key END,
    active_key = CASE WHEN state = 2 THEN concurrency_key END
WHERE seq BETWEEN ? AND ?;

-- name: end_transfer
DROP TABLE transfer;
