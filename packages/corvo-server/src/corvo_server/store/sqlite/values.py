"""Check every value of a SQLite database: texts are UTF-8, documents are JSON, codes are known."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from corvo_server.store.rows.values import CODES, DOCUMENTS, NUMBERS, Rule
from corvo_server.store.sqlite.rows import SQL

_RULES = CODES | DOCUMENTS | NUMBERS
_SHOWN = 5
"""Problems that are shown in full per column; the others are counted."""


class _Column(NamedTuple):
    name: str
    read: Callable[[Any], Any]
    rule: Rule | None


def wrong_values(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a sentence for each value that no server could have written."""
    for (table,) in connection.execute(SQL.tables).fetchall():
        yield from _wrong_values_of(connection, table)


def _wrong_values_of(connection: sqlite3.Connection, table: str) -> Iterator[str]:
    declared = connection.execute(SQL.columns_of, (table,)).fetchall()
    keys = [name for name, _, is_key in declared if is_key] or ["rowid"]
    columns = [
        _Column(name, bytes.decode if kind == "TEXT" else _as_it_is, _RULES.get((table, name)))
        for name, kind, _ in declared
        if kind == "TEXT" or (table, name) in _RULES
    ]
    if not columns:
        return
    # As bytes, because sqlite3 raises an error for a text that is not UTF-8.
    selected = [
        f"CAST({column.name} AS BLOB)" if column.read is bytes.decode else column.name
        for column in columns
    ]
    statement = f"SELECT {', '.join([*selected, *keys])} FROM {table}"  # noqa: S608 - our own names
    found = dict.fromkeys(columns, 0)
    for row in connection.execute(statement):
        for column, value in zip(columns, row, strict=False):
            if value is None or (problem := _problem_of(column, value)) is None:
                continue
            found[column] += 1
            if found[column] <= _SHOWN:
                key = ", ".join(str(part) for part in row[len(columns) :])
                yield f"{column.name} of {table} {key}: {problem}"
    for column, count in found.items():
        if count > _SHOWN:
            yield f"{column.name} of {table}: {count - _SHOWN} more rows with such a problem"


def _problem_of(column: _Column, stored: Any) -> str | None:
    try:
        value = column.read(stored)
    except UnicodeDecodeError:
        return "its text is not UTF-8"
    if column.rule is None or column.rule.holds(value):
        return None
    shown = repr(value)
    return f"{shown[:60]}{'…' if len(shown) > 60 else ''} is not {column.rule.expected}"


def _as_it_is(value: Any) -> Any:
    return value
