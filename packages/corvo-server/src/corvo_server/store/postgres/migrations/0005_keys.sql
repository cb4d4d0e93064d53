-- works with servers of schema version: 1

-- API keys. A key itself is not stored, only its hash with the secret of `key_ring`.
CREATE TABLE api_keys (
    id           text   COLLATE "C" PRIMARY KEY,  -- public part of the key
    name         text   NOT NULL,
    hash         text   NOT NULL,                 -- HMAC-SHA256, in hex
    roles        text   NOT NULL,                 -- JSON list
    queues       text,                            -- JSON list of patterns; NULL means all queues
    created_at   bigint NOT NULL,
    created_by   text   NOT NULL,
    expires_at   bigint,
    revoked_at   bigint,
    last_used_at bigint
);

-- One row: the secret of the hashes, and a number that rises with each change of the keys.
CREATE TABLE key_ring (
    only_row integer PRIMARY KEY CHECK (only_row = 1),
    version  bigint NOT NULL,
    secret   text   NOT NULL  -- in hex
);
