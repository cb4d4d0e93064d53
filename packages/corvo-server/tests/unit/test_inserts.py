"""Inserts of many rows by one statement."""

import sqlite3

import pytest

from corvo_server.store.sqlite.rows import Insert


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 25, 99, 100, 101, 131, 399])
def test_any_number_of_rows_is_written_in_order(count: int) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (place INTEGER PRIMARY KEY, a, b)")
    rows = [(f"a{i}", None if i % 2 else i) for i in range(count)]
    Insert("INSERT INTO t (a, b) VALUES (?, ?)").run(connection, rows)
    assert connection.execute("SELECT a, b FROM t ORDER BY place").fetchall() == rows
    connection.close()


def test_many_rows_take_few_statements() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (a)")
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    Insert("INSERT INTO t (a) VALUES (?)").run(connection, [(i,) for i in range(1_234)])
    assert len(statements) == 12 + 1 + 1 + 4
    connection.close()
