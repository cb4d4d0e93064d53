-- name: watch_client
-- How the database finds out that we are gone without a word: with our host, or behind a cut network.
-- By itself it would not for two hours, and until then nobody gets at the rows that an open transaction
-- has locked. What an operator has set stays.
SELECT set_config(name, watch.value, false)
FROM (VALUES ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'),
             ('tcp_keepalives_count', '2'), ('tcp_user_timeout', '5000')) AS watch (name, value)
JOIN pg_settings USING (name)
WHERE source = 'default';

-- name: limit_transactions
-- How long a writing transaction may last in all, where PostgreSQL can limit that (from 17 on): a
-- process that stands still in the midst of sending is not idle.
SELECT set_config(name, '30s', false)
FROM pg_settings
WHERE name = 'transaction_timeout' AND source = 'default';

-- name: begin
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;

-- name: begin_reading
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: begin_reading_fresh
BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;

-- name: set_up_writing
-- For a transaction, as behind a pooler of transactions there is nothing that lasts longer, or for the
-- session. The statements are made for the indexes: how they run must not depend on statistics of a
-- table that fills and empties within seconds.
SELECT set_config('search_path', %(search_path)s, %(is_local)s),
       set_config('lock_timeout', '10s', %(is_local)s),
       set_config('statement_timeout', '30s', %(is_local)s),
       set_config('idle_in_transaction_session_timeout', '5s', %(is_local)s),
       set_config('plan_cache_mode', 'force_generic_plan', %(is_local)s),
       set_config('jit', 'off', %(is_local)s),
       set_config('enable_seqscan', 'off', %(is_local)s),
       set_config('enable_bitmapscan', 'off', %(is_local)s),
       set_config('enable_hashjoin', 'off', %(is_local)s),
       set_config('enable_mergejoin', 'off', %(is_local)s);

-- name: set_up_reading
SELECT set_config('search_path', %s, true),
       set_config('statement_timeout', %s, true),
       set_config('idle_in_transaction_session_timeout', '10s', true),
       set_config('jit', 'off', true);

-- name: add_writer
INSERT INTO writers (id, commits) VALUES (%s, 0) ON CONFLICT (id) DO NOTHING;

-- name: mark_commit
INSERT INTO writers (id, commits) VALUES (%s, %s)
ON CONFLICT (id) DO UPDATE SET commits = excluded.commits
RETURNING pg_current_xact_id()::xid::text::bigint;

-- name: find_mark
-- Waits for the transaction that is writing it, if there is one.
SELECT commits FROM writers WHERE id = %s FOR UPDATE;

-- name: forget_writers
DELETE FROM writers WHERE id IN (SELECT json_array_elements_text(%s) COLLATE "C");

-- name: notify
SELECT pg_notify(%s, %s);
