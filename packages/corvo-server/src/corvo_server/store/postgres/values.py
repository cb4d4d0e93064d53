"""Check the values of a PostgreSQL database: documents are JSON, codes and numbers are known.

PostgreSQL itself checks the encoding of texts. The database selects the candidates, so that few
values cross the network.
"""

from collections.abc import Iterator

from psycopg import sql

from corvo_server.store.postgres.pipeline import Connection
from corvo_server.store.rows.values import CODES, DOCUMENTS, NUMBERS, Rule

_ABSENT = {("queues", "is_paused"), ("queues", "is_draining"), ("schedules", "is_paused")} | {
    ("jobs", "is_batch_counted"),
    ("jobs", "is_cancel_requested"),
}
"""Columns whose type boolean leaves no other values."""


def wrong_values(connection: Connection) -> Iterator[str]:
    """Yield a sentence for each value that no server could have written."""
    for (table, column), rule in DOCUMENTS.items():
        # document() is NULL for some valid JSON, e.g. large numbers; the rule decides.
        values = _select(
            connection,
            "SELECT {c} FROM {t} WHERE {c} IS NOT NULL AND document({c}) IS NULL",
            table,
            column,
        )
        yield from _problems(table, column, rule, values)
    # Tags are objects of texts. Other documents need no look at their content.
    for table in ("jobs", "schedules"):
        values = _select(
            connection,
            "SELECT {c} FROM {t} WHERE jsonb_typeof(document({c})) <> 'object'"
            " OR jsonb_path_exists(document({c}), 'strict $.* ? (@.type() <> \"string\")')",
            table,
            "tags",
        )
        yield from _problems(table, "tags", DOCUMENTS[table, "tags"], values)
    for (table, column), rule in CODES.items():
        if (table, column) not in _ABSENT:
            values = _select(connection, "SELECT DISTINCT {c} FROM {t}", table, column)
            yield from _problems(table, column, rule, values)
    for (table, column), rule in NUMBERS.items():
        extremes = "SELECT min({c}) FROM {t} UNION SELECT max({c}) FROM {t}"
        yield from _problems(table, column, rule, _select(connection, extremes, table, column))


def _select(connection: Connection, statement: str, table: str, column: str) -> Iterator[object]:
    query = sql.SQL(statement).format(c=sql.Identifier(column), t=sql.Identifier(table))
    for (value,) in connection.execute(query):
        if value is not None:
            yield value


def _problems(table: str, column: str, rule: Rule, values: Iterator[object]) -> Iterator[str]:
    for value in values:
        if not rule.holds(value):
            shown = repr(value)
            shown = f"{shown[:60]}{'…' if len(shown) > 60 else ''}"
            yield f"{column} of {table}: {shown} is not {rule.expected}"
