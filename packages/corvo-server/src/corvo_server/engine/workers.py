"""The known workers. They are learned from their calls and kept in memory only."""

from collections.abc import Sequence
from heapq import nsmallest

from msgspec import Struct, field
from msgspec.structs import replace

from corvo_server.auth.scope import Scope
from corvo_server.engine.access import is_seen, scope_of_caller
from corvo_server.engine.clock import Clock
from corvo_server.engine.errors import not_found
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.protocol import Store

_FORGOTTEN_AFTER = 3_600_000
_SILENT_AFTER = 120_000
_NOT_FETCHING_AFTER = 300_000
_MAX_SEEN = 10_000
"""Number of workers kept in memory. Callers choose the ids, so their number has no limit."""
_MAX_QUEUES = 200_000
"""Number of names of queues kept in memory for all workers together."""
_MAX_LISTS = 64
"""Number of lists of queues kept for a worker. It fetches many queues, or of several kinds, in
turn."""


class WorkerRecord(Struct):
    """One worker process; it chooses its id. Times are in ms since the epoch."""

    id: str
    hostname: str | None
    lists: dict[tuple[str, ...], int] = field(default_factory=dict)
    """Lists of queues that it fetched from within the last hour, with the time of the last one."""
    first_seen: int | None = None
    last_fetch: int | None = None
    last_heartbeat: int | None = None
    active_jobs: int = 0
    status: str = "ok"

    @property
    def queues(self) -> list[str]:
        """Queues that the worker fetches from."""
        return list(dict.fromkeys(queue for queues in self.lists for queue in queues))

    @property
    def size(self) -> int:
        """Number of names of queues in the record."""
        return sum(map(len, self.lists))

    def forget_list(self, queues: tuple[str, ...]) -> int:
        """Forget a list of queues, and return its length."""
        del self.lists[queues]
        return len(queues)


class Workers(Part):
    """The workers that called within the last hour, and those with active jobs.

    If more than 10,000 workers call, those that have not called for the longest time are forgotten.
    So are they if the workers fetch from more than 200,000 queues in sum.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[str, WorkerRecord] = {}
        self._queues = 0
        """Number of names of queues in the records."""
        self._next_sweep = 0

    def note_fetch(self, worker_id: str, hostname: str | None, queues: Sequence[str]) -> None:
        """Record a fetch of a worker."""
        now = self._clock()
        record = self._seen.get(worker_id) or self._add(worker_id, now)
        record.hostname = hostname
        record.last_fetch = now
        fetched = tuple(queues)
        if fetched not in record.lists:
            self._queues += len(fetched)
            if len(record.lists) == _MAX_LISTS:
                self._queues -= record.forget_list(min(record.lists, key=record.lists.__getitem__))
        record.lists[fetched] = now
        if self._queues > _MAX_QUEUES:
            self._forget_oldest()

    def note_heartbeat(self, worker_id: str) -> None:
        """Record a heartbeat of a worker."""
        now = self._clock()
        record = self._seen.get(worker_id) or self._add(worker_id, now)
        record.last_heartbeat = now

    def has_served(self, queue: str) -> bool:
        """Return whether one of the workers that called this server fetches from a queue."""
        return any(queue in record.queues for record in self._seen.values())

    def note_stop(self, worker_id: str) -> None:
        """Forget a worker that has stopped. It stays in the list while it has active jobs."""
        record = self._seen.pop(worker_id, None)
        if record is not None:
            self._queues -= record.size

    @verb
    async def list(self) -> list[WorkerRecord]:
        """Return the workers of the last hour and those with active jobs, by id, with their status.

        A caller with a scope gets those that fetch from its queues, without their other queues.

        `silent`: the worker has not called for two minutes. `not_fetching`: it sends heartbeats but
        has not fetched for five minutes, because it is at capacity or its fetch loop hangs.
        """
        now = self._clock()
        self._forget_old(now)
        records = {record.id: record for record in self._seen.values()}
        for record in records.values():
            record.active_jobs = 0
        for holder in await self._store.list_holders():
            if not is_seen(holder.queue):
                continue
            record = records.setdefault(
                holder.worker_id, WorkerRecord(holder.worker_id, holder.hostname)
            )
            record.hostname = record.hostname or holder.hostname
            record.active_jobs += holder.active_jobs
        scope = scope_of_caller()
        if scope is not None:
            records = {key: _seen_part(record, scope) for key, record in records.items()}
            records = {
                key: record for key, record in records.items() if record.lists or record.active_jobs
            }
        for record in records.values():
            record.status = _status(record, now)
        return sorted(records.values(), key=lambda record: record.id)

    @verb
    async def get(self, worker_id: str) -> WorkerRecord:
        """Return one of the workers that `list` returns. Raise `CallError` for any other id."""
        for record in await self.list():
            if record.id == worker_id:
                return record
        raise not_found(f"worker {worker_id}")

    def _add(self, worker_id: str, now: int) -> WorkerRecord:
        self._forget_old(now)
        if len(self._seen) >= _MAX_SEEN:
            self._forget_oldest()
        record = self._seen[worker_id] = WorkerRecord(worker_id, None, first_seen=now)
        return record

    def _forget_oldest(self) -> None:
        """Forget the tenth of the workers that has not called for the longest time."""
        for old in nsmallest(len(self._seen) // 10, self._seen.values(), key=_last_seen):
            self._queues -= old.size
            del self._seen[old.id]

    def _forget_old(self, now: int) -> None:
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SILENT_AFTER
        self._seen = {
            worker_id: record
            for worker_id, record in self._seen.items()
            if now - _last_seen(record) < _FORGOTTEN_AFTER
        }
        for record in self._seen.values():
            record.lists = {
                queues: at for queues, at in record.lists.items() if now - at < _FORGOTTEN_AFTER
            }
        self._queues = sum(record.size for record in self._seen.values())


def _seen_part(record: WorkerRecord, scope: Scope) -> WorkerRecord:
    """Return a worker as if it fetched only from queues in `scope`."""
    lists: dict[tuple[str, ...], int] = {}
    for queues, at in record.lists.items():
        seen = tuple(queue for queue in queues if queue in scope)
        if seen:
            lists[seen] = max(at, lists.get(seen, 0))
    return replace(record, lists=lists, last_fetch=max(lists.values(), default=None))


def _last_seen(record: WorkerRecord) -> int:
    return max(record.last_fetch or 0, record.last_heartbeat or 0)


def _status(record: WorkerRecord, now: int) -> str:
    if now - _last_seen(record) > _SILENT_AFTER:
        return "silent"
    is_beating = record.last_heartbeat is not None and now - record.last_heartbeat < _SILENT_AFTER
    if is_beating and now - (record.last_fetch or record.first_seen or 0) > _NOT_FETCHING_AFTER:
        return "not_fetching"
    return "ok"
