"""Opening a database: with which settings, by which server, at which schema version."""

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
_OLDEST = 13
_PREPARE_AFTER = 3
"""Uses of a statement after which the database keeps its plan."""

_DEFAULTS: dict[str, Any] = {
    "application_name": "corvo",
    "connect_timeout": 5,
    "target_session_attrs": "read-write",  # of several hosts, the one that is the primary now
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5_000,
}
"""What a URL may say otherwise. A host that is gone is noticed within ten seconds; by the database,
too, which is told so by `watch_client`."""


class UnusableDatabaseError(UnusableStoreError):
    """The database cannot be reached, or not used."""


def connect(url: str, **options: Any) -> Connection:
    """A connection on which every transaction is begun by a statement.

    `options` of libpq hold where the URL does not say otherwise. Behind a pooler nothing of it
    outlives a transaction: statements are not kept prepared there, and it watches over its clients
    itself.
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
            connection.execute(SQL.watch_client)
    except BaseException:
        connection.close()
        raise
    return connection


def is_pooled(connection: Connection) -> bool:
    """Whether there is a pooler in between, which may give every transaction another session.

    A database tells who connects the id of the process that serves the connection, for a cancel to
    name it. A pooler makes up an id of its own. Whether it pools sessions or transactions cannot be
    told; and in doubt, nothing is lost but some planning.
    """
    (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    return bool(pid != connection.info.backend_pid)


def prepare(url: str, schema: str, *, is_for_transfer: bool = False) -> None:
    """Make sure that the database can be used, and bring its schema up to date.

    Servers that start at the same time do so one after the other.
    Raises `UnusableStoreError`.
    """
    with _explained(url), connect(url) as connection:
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
    if version < _OLDEST:
        raise UnusableDatabaseError(
            f"PostgreSQL {version} is too old: this server needs {_OLDEST} or newer."
        )
    encoding = connection.execute("SHOW server_encoding").fetchone()
    if encoding is None or encoding[0] != "UTF8":
        raise UnusableDatabaseError(
            f"The database has the encoding {encoding and encoding[0]}, which cannot keep every "
            "text. Create one with ENCODING 'UTF8'."
        )


def _migrate(connection: Connection, schema: str) -> None:
    """Apply the missing migrations, all or none."""
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
    # The column is missing where nothing has been migrated since there is one.
    current, oldest = connection.execute(
        "SELECT coalesce(max(version), 0), "
        "coalesce(max(coalesce((to_jsonb(m) ->> 'oldest')::int, version)), 0) "
        "FROM schema_migrations AS m"
    ).fetchone() or (0, 0)
    migrations = load_migrations(_MIGRATIONS)
    if current > len(migrations) >= oldest:
        log.info(
            "schema version %d is of a newer server; this one knows %d, and works with it",
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
    """The setting that lets names be found in this schema."""
    return '"' + schema.replace('"', '""') + '"'


def set_up(search_path: str, *, is_local: bool = True) -> dict[str, Any]:
    """The parameters of `set_up_writing`: for the transaction, or for the session."""
    return {"search_path": search_path, "is_local": is_local}


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except psycopg.OperationalError as error:
        raise UnusableDatabaseError(
            f"Cannot reach {masked(url)}: {str(error).strip()}. Is PostgreSQL running there, and "
            "may this user connect?"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise UnusableDatabaseError(
            f"The user of {masked(url)} may not do what is needed: {str(error).strip()}. Let it "
            "own the schema, or create schemas in the database."
        ) from error
    except psycopg.Error as error:
        raise UnusableDatabaseError(f"Cannot use {masked(url)}: {str(error).strip()}.") from error
