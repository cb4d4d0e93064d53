"""Claims of jobs without options read fewer columns."""

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from corvo_schema.states import JobState
from corvo_server.store.records import NewJob
from corvo_server.store.sqlite.database import open_writer
from corvo_server.store.sqlite.jobs import Jobs
from corvo_server.store.sqlite.pending import PendingJobs
from corvo_server.store.sqlite.rows import SQL, to_leased

_COPIES_AND_STATE = {"seq", "state", "due_at", "lapses_at", "pending_key", "active_key"}
_NOT_CLAIMED = {"progress", "result"}
_ONLY_WITH_OTHERS = {"charged_bytes"}
"""Columns that differ from their default only if another column does."""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database with one new job without options."""
    connection = open_writer(tmp_path / "corvo.db")
    connection.execute("PRAGMA foreign_keys = OFF")
    Jobs(connection).insert([NewJob("job_1", "mail", JobState.PENDING, '{"a":1}', 5)])
    yield connection
    connection.close()


def test_job_with_any_option_is_claimed_with_all_columns(connection: sqlite3.Connection) -> None:
    load = partial(PendingJobs(connection).load, [1], 1000)
    plain = load()
    columns = connection.execute("SELECT name, type FROM pragma_table_info('jobs')")
    tried = 0
    for name, kind in columns.fetchall():
        if name in _COPIES_AND_STATE | _NOT_CLAIMED | _ONLY_WITH_OTHERS:
            continue
        connection.execute("SAVEPOINT before")
        value = 1 if kind == "INTEGER" else "{}"
        connection.execute(f"UPDATE jobs SET {name} = ?", (value,))  # noqa: S608 - of our columns
        claimed = connection.execute(SQL.claimed_by_seq, ("[1]",)).fetchall()
        assert load() == [to_leased(row)[1] for row in claimed], name
        assert load() != plain, name
        connection.execute("ROLLBACK TO before")
        tried += 1
    assert tried > 25
    assert load() == plain
