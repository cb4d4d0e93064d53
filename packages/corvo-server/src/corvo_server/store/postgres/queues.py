"""The tables of queues: settings and counters."""

from collections.abc import Collection

from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.tables import QueueCount
from corvo_server.store.options import JobOptions, read_options
from corvo_server.store.postgres.head_cache import CachedHead
from corvo_server.store.postgres.nodes import SILENT_NODE_MS, writer_of
from corvo_server.store.postgres.pending import PendingJobs
from corvo_server.store.postgres.pipeline import Pipeline, Rows
from corvo_server.store.postgres.rows import SQL, Row, as_json, id_set, storable, to_queue
from corvo_server.store.queues import (
    QueueDefaults,
    QueueRecord,
    QueueSetting,
    QueueSettings,
)
from corvo_server.store.rows.queues import setting_update, to_settings

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
    """Implements `store.commit.tables.QueueTable`.

    Each writer has its own counters, so that servers do not wait for each other's row locks.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        prefetch: Prefetch,
        cached: list[CachedHead] | None,
        pending: PendingJobs,
        writer_id: str,
    ) -> None:
        """Send the statement that finds the limited queues, without waiting for it.

        `cached` are the cached heads of the jobs in `prefetch`, or None. With them, the queues are
        known without reading the jobs.
        """
        self._pipeline = pipeline
        self._pending = pending
        self._writer_id = writer_id
        self._is_limited: dict[str, bool] = {}
        self._prefetched: Rows | None = None
        self._defaults: dict[str, JobOptions | None] = {}
        self._prefetched_defaults: Rows | None = None
        if prefetch.enqueued:
            self._defaults = dict.fromkeys(prefetch.enqueued)
            values = (as_json(prefetch.enqueued),)
            self._prefetched_defaults = pipeline.request(SQL.defaults_of_queues, values)
        if cached is not None:
            names = {head.queue for head, _ in cached}
            self._is_limited = dict.fromkeys(names, False)
            self._prefetched = pipeline.request(SQL.limited_queues, (as_json(names),))
        elif prefetch.ids:
            self._prefetched = pipeline.request(SQL.limited_queues_of_jobs, (id_set(prefetch.ids),))

    def touch(self) -> None:
        self._pipeline.has_written = True  # so the commit stores its number

    def limited(self, names: Collection[str]) -> set[str]:
        if self._prefetched is not None:
            self._is_limited.update(self._prefetched())
            self._prefetched = None
        unknown = [name for name in names if name not in self._is_limited]
        if unknown:
            self._is_limited.update(dict.fromkeys(unknown, False))
            self._is_limited.update(self._pipeline.ask(SQL.limited_queues, (as_json(unknown),)))
        return {name for name in names if self._is_limited[name]}

    def count(self, counts: list[QueueCount]) -> None:
        rows = [dict(zip(_COUNTS, row, strict=True)) for row in counts]
        self._pipeline.write(SQL.count_queues, (self._writer_id, as_json(rows)))
        self._pending.forget_limits()

    def defaults(self, names: Collection[str]) -> dict[str, JobOptions]:
        if self._prefetched_defaults is not None:
            self._note_defaults(self._prefetched_defaults())
            self._prefetched_defaults = None
        unknown = [name for name in names if name not in self._defaults]
        if unknown:
            self._defaults.update(dict.fromkeys(unknown))
            self._note_defaults(self._pipeline.ask(SQL.defaults_of_queues, (as_json(unknown),)))
        return {name: options for name in names if (options := self._defaults[name]) is not None}

    def _note_defaults(self, rows: list[Row]) -> None:
        self._defaults.update({name: read_options(text, JobOptions) for name, text in rows})

    def configure(self, setting: QueueSetting) -> None:
        self._pipeline.write(*setting_update(SQL, setting))
        self._forget_settings()

    def settings(self, name: str) -> QueueSettings:
        self._pipeline.send(SQL.lock_queue, (name,))
        rows = self._pipeline.ask(SQL.queue_settings, (name,))
        return to_settings(rows[0]) if rows else QueueSettings()

    def active(self, name: str) -> int:
        ((active,),) = self._pipeline.ask(SQL.active_of_queue, (name,))
        return int(active)

    def ensure(self, name: str, now: int) -> None:
        self._pipeline.write(SQL.ensure_queue, (name, now))

    def reset(self, name: str) -> None:
        self._pipeline.write(SQL.reset_queue, (name,))
        self._pipeline.write(SQL.clear_defaults, (name,))
        self._forget_settings()

    def drop(self, name: str) -> bool:
        self._forget_settings()
        self._pipeline.has_written = True
        self._pipeline.send(SQL.lock_counts, (name,))
        ((rows,),) = self._pipeline.ask(SQL.drop_queue, {"name": name})
        if rows:
            self._pipeline.write(SQL.clear_defaults, (name,))
        return bool(rows)

    def _forget_settings(self) -> None:
        self._pending.forget_limits()
        self._prefetched = None
        self._is_limited.clear()
        self._prefetched_defaults = None
        self._defaults.clear()

    def fold(self, now: int, limit: int) -> int:
        deleted = self._pipeline.ask(SQL.delete_silent_nodes, (now - SILENT_NODE_MS, limit))
        if deleted:
            writers = (as_json([writer_of(node_id) for (node_id,) in deleted]),)
            self._pipeline.write(SQL.merge_counters, writers)
            self._pipeline.write(SQL.merge_key_usage, writers)
            self._pipeline.write(SQL.delete_writers, writers)
        return len(deleted)


def list_queues(pipeline: Pipeline, name: str | None = None) -> list[QueueRecord]:
    """Return all queues sorted by name, or only the one called `name`."""
    return [
        to_queue(row) for row in pipeline.ask(SQL.list_queues, {"name": name and storable(name)})
    ]


def find_queue(pipeline: Pipeline, name: str) -> QueueRecord | None:
    """Return a queue with its defaults; None if it does not exist."""
    for record in list_queues(pipeline, name):
        for options, schema, updated_at in pipeline.ask(SQL.find_defaults, (storable(name),)):
            record.defaults = QueueDefaults(read_options(options, JobOptions), schema, updated_at)
        return record
    return None
