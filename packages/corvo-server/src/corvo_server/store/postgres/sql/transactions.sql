-- name: detect_lost_clients
-- Lets the database detect within ten seconds that the host of a client or the network is lost. By
-- default it takes two hours, and until then the open transaction keeps its row locks. The
-- condition on source keeps the settings of an operator.
SELECT set_config(name, wanted.value, false)
FROM (VALUES ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'),
             ('tcp_keepalives_count', '2'), ('tcp_user_timeout', '5000')) AS wanted (name, value)
JOIN pg_settings USING (name)
WHERE source = 'default';

-- name: limit_transactions
-- Limits the whole duration of a writing transaction, on PostgreSQL 17 or newer.
-- idle_in_transaction_session_timeout does not cover a process that hangs while it sends
-- statements.
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
-- is_local limits the settings to the transaction, for connections behind a transaction pooler.
-- Every statement has an index made for it. The planner settings force that index, because
-- statistics of a table that fills and empties within seconds are misleading.
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

-- name: record_commit
-- Stores the number of the commit, which tells after a lost connection whether it succeeded.
-- Returns the id of the transaction, which the head cache compares with xmin.
INSERT INTO writers (id, commits) VALUES (%s, %s)
ON CONFLICT (id) DO UPDATE SET commits = excluded.commits
RETURNING pg_current_xact_id()::xid::text::bigint;

-- name: read_commit_number
-- FOR UPDATE waits until a transaction that is still writing the row has ended.
SELECT commits FROM writers WHERE id = %s FOR UPDATE;

-- name: delete_writers
DELETE FROM writers WHERE id IN (SELECT json_array_elements_text(%s) COLLATE "C");

-- name: notify
SELECT pg_notify(%s, %s);
