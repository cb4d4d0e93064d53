"""Check a database: the file, its schema, the values, and the invariants between its tables."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

from corvo_server.store.migrate import load_migrations
from corvo_server.store.sqlite.database import MIGRATIONS
from corvo_server.store.sqlite.rows import SQL
from corvo_server.store.sqlite.values import wrong_values

_INVARIANTS = (
    ("wrong_counters", "queue {0}: its counters are {1}, but its jobs by state are {2}"),
    ("jobs_without_queue", "queue {0} has jobs but no row in the table of queues"),
    (
        "wrong_key_usage",
        "key {0}: its sums are {1} jobs and {2} bytes, but its jobs are {3} and {4}",
    ),
    ("wrong_charges", "job {0}: {1} bytes are counted for a key, but its payload has others"),
    ("wrong_locks", "the unique key {1!r} of queue {0} belongs to job {2}, which may not have it"),
    ("wrong_batches", "batch {0}: total {1}, but {2} jobs are counted and {3} are not counted yet"),
    ("wrong_leases", "job {0} has a lease but is not active, or is active without a lease"),
    ("wrong_finish_times", "job {0} has a finish time but is not finished, or the reverse"),
    ("wrong_times", "job {0} is scheduled or retrying but has no scheduled time"),
    ("wrong_index_columns", "job {0}: its index columns (due_at, …) do not match its state"),
    ("wrong_order", "job {0} was created before a job with a lower seq"),
    ("wrong_tags", "the index of tags is wrong for the job with seq {0}: tag {1!r}, value {2!r}"),
    ("events_without_job", "event {0} refers to job {1} with seq {2}, which never existed"),
    ("wrong_sequences", "job_sequence has {0} rows and the seq {1}; expected one row, 0 or more"),
)
"""Statements that return a row for each violation, and the message for such a row."""

_COMMENT = re.compile("--[^\n]*")

_Check = Callable[[sqlite3.Connection], Iterator[str]]


def find_problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a sentence for each problem; nothing if the database is sound.

    Damage that stops one of the checks is a problem, too. The other checks still run.
    """
    text_factory = connection.text_factory
    # Messages show texts that are not UTF-8; sqlite3 would raise an error.
    connection.text_factory = _shown_text
    damage: set[str] = set()
    try:
        for check in (_file_problems, _schema_problems, wrong_values, *_invariant_checks()):
            try:
                yield from check(connection)
            except sqlite3.OperationalError as error:
                # Damaged content can cause SQLITE_ERROR, e.g. "malformed JSON" or "no such table".
                # All other codes say that the database cannot be read now, e.g. it is locked.
                if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR:
                    raise
                damage.add(str(error))
            except sqlite3.DatabaseError as error:
                damage.add(str(error))
    finally:
        connection.text_factory = text_factory
    for message in sorted(damage):
        yield f"file: {message}"


def _file_problems(connection: sqlite3.Connection) -> Iterator[str]:
    for (verdict,) in connection.execute("PRAGMA integrity_check"):
        if verdict != "ok":
            yield f"file: {verdict}"
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} refers to a row of {parent} that does not exist"


def _schema_problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Compare tables, indexes, triggers and views with those that the migrations create."""
    (version,) = connection.execute("SELECT max(version) FROM schema_migrations").fetchone()
    migrations = load_migrations(MIGRATIONS)
    if not version or version > len(migrations):
        yield f"the schema version is {version}, but this server knows versions 1 to " + str(
            len(migrations)
        )
        return
    with closing(sqlite3.connect(":memory:")) as fresh:
        for migration in migrations[:version]:
            fresh.executescript(migration.script)
        expected = fresh.execute(SQL.schema).fetchall()
    found = {(kind, name): sql for kind, name, sql in connection.execute(SQL.schema)}
    for kind, name, sql in expected:
        if (kind, name) not in found:
            yield f"the {kind} {name} is missing"
        elif _without_comments(found[kind, name]) != _without_comments(sql):
            yield f"the definition of the {kind} {name} differs from that of the server"


def _without_comments(sql: str) -> list[str]:
    """Return the words of a definition. Releases may change the comments of one."""
    return _COMMENT.sub("", sql).split()


def _invariant_checks() -> Iterator[_Check]:
    for name, sentence in _INVARIANTS:

        def check(
            connection: sqlite3.Connection,
            statement: str = getattr(SQL, name),
            sentence: str = sentence,
        ) -> Iterator[str]:
            for values in connection.execute(statement):
                yield sentence.format(*values)

        yield check


def _shown_text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
