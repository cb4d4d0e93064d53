"""Unique keys and the jobs that hold them.

Locks are taken in one order by everyone, keys before jobs and both sorted, so that transactions of
several servers do not wait for each other in a circle. What is decided about a key is written once,
at the end.
"""

from typing import NamedTuple

from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.postgres.head_cache import CachedHead
from corvo_server.store.postgres.pipeline import Pipeline, Rows
from corvo_server.store.postgres.rows import SQL, Row, as_json, id_set
from corvo_server.store.records import JobHead

_Key = tuple[str, str]


class _Holder(NamedTuple):
    seq: int
    job_id: str
    expires_at: int


class Locks:
    """Implements `store.commit.tables.LockTable`."""

    def __init__(
        self, pipeline: Pipeline, prefetch: Prefetch, cached: list[CachedHead] | None
    ) -> None:
        """Lock what `prefetch` foresees, without waiting for it.

        `cached` are the heads of the jobs that will be moved, if they are cached: a job without a key
        never gets one.
        """
        self._pipeline = pipeline
        self._holders: dict[_Key, _Holder | None] = {}
        """Of the keys that are locked."""
        self._stored: dict[_Key, str] = {}
        """Which job is in the row of such a key; `""` where the row was made to be locked."""
        self._freed: dict[_Key, str] = {}
        """Keys that are not locked, to be freed if these jobs hold them."""
        self._prefetched: list[Rows] = []
        if prefetch.keys:
            self._prefetched.append(self._lock(sorted(prefetch.keys)))
        ids = prefetch.ids
        if cached is not None:
            ids = {head.id for head, _ in cached if head.unique_key is not None}
        if ids:
            self._prefetched.append(pipeline.request(SQL.lock_keys_of_jobs, (id_set(ids),)))

    def holder(self, queue: str, unique_key: str, now: int) -> str | None:
        key = (queue, unique_key)
        self._load()
        if key not in self._holders:
            self._keep(self._lock([key])())
        holder = self._holders[key]
        return None if holder is None or holder.expires_at <= now else holder.job_id

    def take(self, job: JobHead, now: int) -> None:
        key = (job.queue, job.unique_key or "")
        self._load()
        if key not in self._holders:
            self._keep(self._lock([key])())
        self._holders[key] = _Holder(job.seq, job.id, now + job.unique_period)

    def free(self, job: JobHead) -> None:
        key = (job.queue, job.unique_key or "")
        self._load()
        if key not in self._holders:
            self._freed[key] = job.id
            return
        holder = self._holders[key]
        if holder is not None and holder.job_id == job.id:
            self._holders[key] = None

    def prune(self, now: int, limit: int) -> int:
        return self._pipeline.count(SQL.prune_locks, (now, limit))

    def flush(self) -> None:
        """Write what has been decided."""
        self._load()
        cached, freed = [], [(*key, job_id) for key, job_id in self._freed.items()]
        for key, holder in sorted(self._holders.items(), key=lambda item: item[0]):
            stored = self._stored.get(key)
            if holder is None:
                if stored is not None:
                    freed.append((*key, stored))
            elif stored != holder.job_id or holder.seq:
                cached.append((*key, *holder))
        if cached:
            fields = ("queue", "unique_key", "job_seq", "job_id", "expires_at")
            rows = [dict(zip(fields, row, strict=True)) for row in cached]
            self._pipeline.write(SQL.hold_keys, (as_json(rows),))
        if freed:
            old = ("queue", "unique_key", "job_id")
            rows = [dict(zip(old, row, strict=True)) for row in sorted(freed)]
            self._pipeline.write(SQL.free_keys, (as_json(rows),))

    def _lock(self, keys: list[_Key]) -> Rows:
        self._pipeline.has_written = True
        rows = [{"queue": queue, "unique_key": key} for queue, key in keys]
        return self._pipeline.request(SQL.lock_keys, (as_json(rows),))

    def _load(self) -> None:
        foreseen, self._prefetched = self._prefetched, []
        for rows in foreseen:
            self._keep(rows())

    def _keep(self, rows: list[Row]) -> None:
        for queue, unique_key, job_id, expires_at in rows:
            key = (queue, unique_key)
            if key in self._stored:
                continue
            self._stored[key] = job_id
            # The seq of a holder is 0 as long as it stays the one that is stored.
            self._holders[key] = _Holder(0, job_id, expires_at) if job_id else None
            freed = self._freed.pop(key, None)
            if freed is not None and freed == job_id:
                self._holders[key] = None
