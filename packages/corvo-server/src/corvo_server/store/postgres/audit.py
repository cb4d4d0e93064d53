"""The audit log: append, prune and read entries."""

from collections.abc import Sequence

from msgspec import structs

from corvo_server.store.audit import AuditEntry, AuditFilter
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL, storable
from corvo_server.store.rows.audit import entry_values, to_entry


class AuditLog:
    """Implements `store.commit.tables.AuditTable`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def append(self, entries: Sequence[AuditEntry]) -> None:
        for entry in entries:
            self._pipeline.write(SQL.insert_audit, entry_values(entry))

    def prune(self, before: int, limit: int) -> int:
        return self._pipeline.count(SQL.prune_audit, {"before": before, "n": limit})


def list_audit(
    pipeline: Pipeline, wanted: AuditFilter, before: int | None, limit: int
) -> list[AuditEntry]:
    """Return up to `limit` matching entries, newest first, with an id below `before`."""
    values = {
        name: storable(value) if isinstance(value, str) else value
        for name, value in structs.asdict(wanted).items()
    }
    rows = pipeline.ask(SQL.list_audit, values | {"before": before, "n": limit})
    return [to_entry(row) for row in rows]
