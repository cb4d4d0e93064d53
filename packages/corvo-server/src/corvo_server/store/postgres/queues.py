"""Queues: their settings and counters."""

from collections.abc import Collection

from corvo_server.store.postgres.held import Held
from corvo_server.store.postgres.lines import Lines
from corvo_server.store.postgres.nodes import FORGOTTEN_AFTER, writer_of
from corvo_server.store.postgres.rows import SQL, Row, as_json, id_set, storable, to_queue
from corvo_server.store.postgres.wire import Rows, Wire
from corvo_server.store.records import (
    LimitKeys,
    LimitQueue,
    PauseQueue,
    QueueRecord,
    QueueSetting,
    ThrottleQueue,
)
from corvo_server.store.tables import QueueCount
from corvo_server.store.verbs.needs import Needs

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
    """Implements `store.tables.QueueTable`. Counters are kept by writer; see the migration."""

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
        statement, values = _update(setting)
        self._wire.write(statement, (setting.queue, setting.now, *values))
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


def _update(setting: QueueSetting) -> tuple[str, Row]:
    """The statement for a setting, and its values after name and time."""
    match setting:
        case PauseQueue(is_paused=is_paused, is_draining=is_draining):
            return SQL.set_paused, (is_paused, is_draining)
        case LimitQueue(max_concurrency=limit):
            return SQL.set_max_concurrency, (limit,)
        case LimitKeys(max_per_key=limit):
            return SQL.set_max_per_key, (limit,)
        case ThrottleQueue(rate=rate, window=window):
            return SQL.set_throttle, (rate, window)


def list_queues(wire: Wire, name: str | None = None) -> list[QueueRecord]:
    """All queues by name, or the one called `name`."""
    return [to_queue(row) for row in wire.ask(SQL.list_queues, {"name": name and storable(name)})]
