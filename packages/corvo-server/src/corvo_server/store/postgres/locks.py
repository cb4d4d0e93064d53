"""The table of unique locks: which job has which unique key.

All servers lock rows in the same order, keys before jobs and both sorted, so that their
transactions do not deadlock. Changes to a key are collected and written once, by `flush`.
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
        """Send statements that lock the keys in `prefetch`, without waiting for them.

        `cached` are the cached heads of the jobs in `prefetch`, or None. With them, only the jobs
        that have a unique key are looked up: a job never gets one after it is enqueued.
        """
        self._pipeline = pipeline
        self._holders: dict[_Key, _Holder | None] = {}
        """The job that has each locked key, as of the operations so far; None: no job."""
        self._stored: dict[_Key, str] = {}
        """By locked key, the job id in its row; `""` if the row was only inserted to lock it."""
        self._freed: dict[_Key, set[str]] = {}
        """Keys that are not locked: each is freed by `flush` if one of these job ids has it."""
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
            self._note_rows(self._lock([key])())
        holder = self._holders[key]
        return None if holder is None or holder.expires_at <= now else holder.job_id

    def take(self, job: JobHead, now: int) -> None:
        key = (job.queue, job.unique_key or "")
        self._load()
        if key not in self._holders:
            self._note_rows(self._lock([key])())
        self._holders[key] = _Holder(job.seq, job.id, now + job.unique_period)

    def free(self, job: JobHead) -> None:
        key = (job.queue, job.unique_key or "")
        self._load()
        if key not in self._holders:
            self._freed.setdefault(key, set()).add(job.id)
            return
        holder = self._holders[key]
        if holder is not None and holder.job_id == job.id:
            self._holders[key] = None

    def prune(self, now: int, limit: int) -> int:
        return self._pipeline.count(SQL.prune_locks, (now, limit))

    def flush(self) -> None:
        """Write all changes to keys."""
        self._load()
        taken = []
        freed = [(*key, job_id) for key, job_ids in self._freed.items() for job_id in job_ids]
        for key, holder in sorted(self._holders.items(), key=lambda item: item[0]):
            stored = self._stored.get(key)
            if holder is None:
                if stored is not None:
                    freed.append((*key, stored))
            elif stored != holder.job_id or holder.seq:
                taken.append((*key, *holder))
        if taken:
            fields = ("queue", "unique_key", "job_seq", "job_id", "expires_at")
            rows = [dict(zip(fields, row, strict=True)) for row in taken]
            self._pipeline.write(SQL.update_keys, (as_json(rows),))
        if freed:
            old = ("queue", "unique_key", "job_id")
            rows = [dict(zip(old, row, strict=True)) for row in sorted(freed)]
            self._pipeline.write(SQL.free_keys, (as_json(rows),))

    def _lock(self, keys: list[_Key]) -> Rows:
        self._pipeline.has_written = True
        rows = [{"queue": queue, "unique_key": key} for queue, key in keys]
        return self._pipeline.request(SQL.lock_keys, (as_json(rows),))

    def _load(self) -> None:
        prefetched, self._prefetched = self._prefetched, []
        for rows in prefetched:
            self._note_rows(rows())

    def _note_rows(self, rows: list[Row]) -> None:
        for queue, unique_key, job_id, expires_at in rows:
            key = (queue, unique_key)
            if key in self._stored:
                continue
            self._stored[key] = job_id
            # Seq 0 marks a holder that is unchanged, so that `flush` does not write it.
            self._holders[key] = _Holder(0, job_id, expires_at) if job_id else None
            if job_id in self._freed.pop(key, ()):
                self._holders[key] = None
