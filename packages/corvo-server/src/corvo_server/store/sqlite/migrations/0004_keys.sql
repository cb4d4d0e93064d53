-- works with servers of schema version: 1

-- API keys. A key itself is not stored, only its hash with the secret of `key_ring`.
CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,  -- public part of the key
    name         TEXT NOT NULL,
    hash         TEXT NOT NULL,     -- HMAC-SHA256, in hex
    roles        TEXT NOT NULL,     -- JSON list
    queues       TEXT,              -- JSON list of patterns; NULL means all queues
    created_at   INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

-- One row: the secret of the hashes, and a number that rises with each change of the keys.
CREATE TABLE key_ring (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    version  INTEGER NOT NULL,
    secret   TEXT NOT NULL  -- in hex
) STRICT;
