"""The audit log: append, prune and read entries."""

import sqlite3
from collections.abc import Sequence

from msgspec import structs

from corvo_server.store.audit import AuditEntry, AuditFilter
from corvo_server.store.rows.audit import entry_values, to_entry
from corvo_server.store.sqlite.rows import SQL


class AuditLog:
    """Implements `store.commit.tables.AuditTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def append(self, entries: Sequence[AuditEntry]) -> None:
        self._connection.executemany(SQL.insert_audit, map(entry_values, entries))

    def prune(self, before: int, limit: int) -> int:
        return self._connection.execute(SQL.prune_audit, {"before": before, "n": limit}).rowcount


def list_audit(
    connection: sqlite3.Connection, wanted: AuditFilter, before: int | None, limit: int
) -> list[AuditEntry]:
    """Return up to `limit` matching entries, newest first, with an id below `before`."""
    values = structs.asdict(wanted) | {"before": before, "n": limit}
    return [to_entry(row) for row in connection.execute(SQL.list_audit, values)]
