"""Connect to a database, check that it is usable, and migrate its schema."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from corvo_server.store.database_url import masked
from corvo_server.store.migrate import load_migrations, pending_migrations
from corvo_server.store.postgres.events import key_base
from corvo_server.store.postgres.pipeline import Connection
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.protocol import UnusableStoreError
from corvo_server.store.transfer import HalfTransferredError

log = logging.getLogger(__name__)

_MIGRATIONS = "corvo_server.store.postgres.migrations"
_MIN_POSTGRES = 13
"""Oldest major version of PostgreSQL that is supported."""
_PREPARE_AFTER = 3
"""Uses of a statement on a connection after which it becomes a prepared statement."""

_DEFAULTS: dict[str, Any] = {
    "application_name": "corvo",
    "connect_timeout": 5,
    "target_session_attrs": "read-write",  # if the URL has several hosts, connect to the primary
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5_000,
}
"""Options of libpq, unless the URL sets them. They detect a lost host within ten seconds.

`detect_lost_clients` does the same on the side of the database.
"""


class UnusableDatabaseError(UnusableStoreError):
    """The database is unreachable, or the server cannot work with it."""


def connect(url: str, **options: Any) -> Connection:
    """Connect in autocommit mode: each transaction begins with an explicit BEGIN.

    `options` are options of libpq; those in the URL take precedence. Behind a pooler, session
    settings and prepared statements are not used, because they may not outlive a transaction.
    """
    given = conninfo_to_dict(url)
    wanted = {**_DEFAULTS, **options}
    settings = {name: value for name, value in wanted.items() if name not in given}
    connection = psycopg.connect(url, autocommit=True, **settings)
    try:
        if is_pooled(connection):
            connection.prepare_threshold = None
        else:
            connection.prepare_threshold = _PREPARE_AFTER
            connection.execute(SQL.detect_lost_clients)
    except BaseException:
        connection.close()
        raise
    return connection


def is_pooled(connection: Connection) -> bool:
    """Return whether a pooler is between the server and the database.

    PostgreSQL sends each client the id of its backend process, for cancel requests; a pooler sends
    an id of its own. It may pool sessions or transactions, which cannot be detected, so the answer
    assumes transactions. If that is wrong, statements are only planned more often.
    """
    (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    return bool(pid != connection.info.backend_pid)


def prepare(url: str, schema: str, *, is_for_transfer: bool = False) -> None:
    """Check that the database is usable, and migrate its schema; a lock serializes servers.

    Raises `UnusableStoreError`. It is raised also if a transfer into the database is incomplete,
    unless `is_for_transfer`.
    """
    with _translate_errors(url), connect(url) as connection:
        _check(connection)
        with connection.transaction():
            _migrate(connection, schema)
            if not is_for_transfer:
                _refuse_half_transferred(connection, url)


def _refuse_half_transferred(connection: Connection, url: str) -> None:
    if connection.execute(SQL.has_transfer).fetchone() == (True,):
        (source, _) = connection.execute(SQL.transfer_begun).fetchone() or ("", "")
        raise HalfTransferredError(masked(url), source)


def _check(connection: Connection) -> None:
    version = connection.info.server_version // 10_000
    if version < _MIN_POSTGRES:
        raise UnusableDatabaseError(
            f"PostgreSQL {version} is too old. Upgrade the database to version {_MIN_POSTGRES} or "
            "newer."
        )
    encoding = connection.execute("SHOW server_encoding").fetchone()
    if encoding is None or encoding[0] != "UTF8":
        raise UnusableDatabaseError(
            f"The database has the encoding {encoding and encoding[0]}, which cannot store every "
            "text. Create a database with ENCODING 'UTF8'."
        )


def _migrate(connection: Connection, schema: str) -> None:
    """Apply the missing migrations in the open transaction: all or none."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (key_base(schema),))
    found = connection.execute(
        "SELECT count(*) FROM pg_namespace WHERE nspname = %s", (schema,)
    ).fetchone()
    if found == (0,):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    connection.execute("SELECT set_config('search_path', %s, true)", (search_path(schema),))
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        "version integer PRIMARY KEY, name text NOT NULL, applied_at bigint NOT NULL)"
    )
    # Older versions created the table without the column `oldest`. Reading it through jsonb gives
    # NULL if it does not exist.
    current, oldest = connection.execute(
        "SELECT coalesce(max(version), 0), "
        "coalesce(max(coalesce((to_jsonb(m) ->> 'oldest')::int, version)), 0) "
        "FROM schema_migrations AS m"
    ).fetchone() or (0, 0)
    migrations = load_migrations(_MIGRATIONS)
    if current > len(migrations) >= oldest:
        log.info(
            "the schema has version %d, from a newer server; this server knows version %d and is "
            "compatible",
            current,
            len(migrations),
        )
    pending = pending_migrations(migrations, current, oldest)
    if pending:
        connection.execute("ALTER TABLE schema_migrations ADD COLUMN IF NOT EXISTS oldest integer")
    for migration in pending:
        connection.execute(migration.script)
        connection.execute(
            "INSERT INTO schema_migrations VALUES (%s, %s, %s, %s)",
            (migration.version, migration.name, time.time_ns() // 1_000_000, migration.oldest),
        )
        log.info("schema migrated to version %d (%s)", migration.version, migration.name)


def search_path(schema: str) -> str:
    """Return the value of the setting search_path for this schema."""
    return '"' + schema.replace('"', '""') + '"'


def write_settings(search_path: str, *, is_local: bool = True) -> dict[str, Any]:
    """Return the parameters of `set_up_writing`, for the transaction or else for the session."""
    return {"search_path": search_path, "is_local": is_local}


@contextmanager
def _translate_errors(url: str) -> Iterator[None]:
    """Raise `UnusableDatabaseError` in place of the errors of psycopg, with what to do next."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise UnusableDatabaseError(
            f"Cannot connect to {masked(url)}: {str(error).strip()}. Check that PostgreSQL is "
            "running there and that this user may connect."
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise UnusableDatabaseError(
            f"The user of {masked(url)} lacks a privilege: {str(error).strip()}. Make it the owner "
            "of the schema, or grant it CREATE on the database."
        ) from error
    except psycopg.Error as error:
        raise UnusableDatabaseError(f"Cannot use {masked(url)}: {str(error).strip()}.") from error
