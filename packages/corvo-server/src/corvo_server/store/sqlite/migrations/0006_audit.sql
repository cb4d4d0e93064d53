-- works with servers of schema version: 1

-- The audit log: who changed or configured what. Entries are only added, and deleted from the oldest
-- on, when their retention is over.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    operation  TEXT    NOT NULL,
    actor      TEXT    NOT NULL,  -- name of the API key
    key_id     TEXT,
    roles      TEXT    NOT NULL,  -- JSON list
    address    TEXT,
    request_id TEXT,
    target     TEXT,              -- id or name of what was changed
    queue      TEXT,
    before     TEXT,              -- JSON object
    after      TEXT,              -- JSON object
    outcome    TEXT    NOT NULL   -- done, or an error code
) STRICT;

CREATE INDEX audit_of_queue ON audit (queue, id) WHERE queue IS NOT NULL;
CREATE INDEX audit_of_target ON audit (target, id) WHERE target IS NOT NULL;

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'entries of the audit log are never changed');
END;

CREATE TRIGGER audit_ends_with_the_oldest BEFORE DELETE ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE id < OLD.id)
BEGIN
    SELECT RAISE(ABORT, 'entries of the audit log are deleted from the oldest on');
END;
