"""Queues: their settings and counters."""

from collections.abc import Collection

from corvo_server.store.commit.prefetch import Needs
from corvo_server.store.commit.tables import QueueCount
from corvo_server.store.postgres.head_cache import Held
from corvo_server.store.postgres.nodes import FORGOTTEN_AFTER, writer_of
from corvo_server.store.postgres.pending import Lines
from corvo_server.store.postgres.pipeline import Rows, Wire
from corvo_server.store.postgres.rows import SQL, as_json, id_set, storable, to_queue
from corvo_server.store.records import (
    QueueRecord,
    QueueSetting,
)
from corvo_server.store.rows.queues import setting_update

_COUNTS = (
    "queue",
    "created_at",
    "scheduled",
    "pending",
    "active",
    "retrying",
    "completed",
    "dead",
    "cancelled",
    "enqueued",
    "failed",
)


class Queues:
    """Implements `store.commit.tables.QueueTable`. Each writer has its own counters."""

    def __init__(
        self, wire: Wire, needs: Needs, held: list[Held] | None, lines: Lines, writer_id: str
    ) -> None:
        """Ask for all that `needs` foresees, without waiting for it.

        `held` are the heads of the jobs that will be moved, if they are held.
        """
        self._wire = wire
        self._lines = lines
        self._writer_id = writer_id
        self._is_limited: dict[str, bool] = {}
        self._foreseen: Rows | None = None
        if held is not None:
            names = {head.queue for head, _ in held}
            self._is_limited = dict.fromkeys(names, False)
            self._foreseen = wire.request(SQL.limited_queues, (as_json(names),))
        elif needs.ids:
            self._foreseen = wire.request(SQL.limited_queues_of_jobs, (id_set(needs.ids),))

    def limited(self, names: Collection[str]) -> set[str]:
        if self._foreseen is not None:
            self._is_limited.update(self._foreseen())
            self._foreseen = None
        unknown = [name for name in names if name not in self._is_limited]
        if unknown:
            self._is_limited.update(dict.fromkeys(unknown, False))
            self._is_limited.update(self._wire.ask(SQL.limited_queues, (as_json(unknown),)))
        return {name for name in names if self._is_limited[name]}

    def count(self, counts: list[QueueCount]) -> None:
        rows = [dict(zip(_COUNTS, row, strict=True)) for row in counts]
        self._wire.write(SQL.count_queues, (self._writer_id, as_json(rows)))

    def configure(self, setting: QueueSetting) -> None:
        self._wire.write(*setting_update(SQL, setting))
        self._lines.forget_limits()
        self._foreseen = None
        self._is_limited.clear()

    def drop(self, name: str) -> bool:
        self._wire.has_written = True
        self._wire.send(SQL.lock_counts, (name,))
        ((rows,),) = self._wire.ask(SQL.drop_queue, {"name": name})
        return bool(rows)

    def fold(self, now: int, limit: int) -> int:
        gone = self._wire.ask(SQL.forget_nodes, (now - FORGOTTEN_AFTER, limit))
        if gone:
            writers = (as_json([writer_of(node_id) for (node_id,) in gone]),)
            self._wire.write(SQL.fold_writers, writers)
            self._wire.write(SQL.forget_writers, writers)
        return len(gone)


def list_queues(wire: Wire, name: str | None = None) -> list[QueueRecord]:
    """All queues by name, or the one called `name`."""
    return [to_queue(row) for row in wire.ask(SQL.list_queues, {"name": name and storable(name)})]
