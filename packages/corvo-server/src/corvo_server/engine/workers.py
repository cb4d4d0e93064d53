"""The known workers. They are learned from their calls, here and on the other nodes."""

import asyncio
from collections.abc import Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from corvo_server.auth.scope import Scope
from corvo_server.engine.access import is_seen, scope_of_caller
from corvo_server.engine.callers import FORGOTTEN_AFTER, Caller, Callers
from corvo_server.engine.clock import Clock
from corvo_server.engine.errors import not_found
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.protocol import Store
from corvo_server.store.workers import WorkerReport

_SILENT_AFTER = 120_000
_NOT_FETCHING_AFTER = 300_000
_SETTLING = 1_000
"""Milliseconds after a sign-off in which calls on other nodes count as earlier ones.

They may have been under way, and the clocks of the nodes differ by some milliseconds.
"""


class WorkerRecord(Struct):
    """One worker process, as all nodes know it. Times are in ms since the epoch."""

    id: str
    hostname: str | None = None
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

    def add(self, report: WorkerReport, stop: int, since: int) -> None:
        """Add what a node reports.

        Leave out what is from before `stop`, the worker's last sign-off at another node, and the
        lists of queues that it has not fetched from after `since`.
        """
        if report.last_fetch is not None and report.last_fetch > max(stop, self.last_fetch or 0):
            self.hostname = report.hostname
            self.last_fetch = report.last_fetch
        if report.last_heartbeat is not None and report.last_heartbeat > stop:
            self.last_heartbeat = max(report.last_heartbeat, self.last_heartbeat or 0)
        if report.first_seen is not None:
            first_seen = max(report.first_seen, stop)
            self.first_seen = min(first_seen, self.first_seen or first_seen)
        for queues, at in report.lists:
            if at > max(stop, since):
                self.lists[queues] = max(at, self.lists.get(queues, 0))


class Workers(Part):
    """The workers that called a node within the last hour, and those with active jobs.

    Each node keeps the workers that called it in memory (see `Callers` for the limits), and reports
    them to the store every few seconds, for the other nodes: new workers within a second, and
    sign-offs at once. A store that is not shared keeps no reports.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.has_new = asyncio.Event()
        """Set if a worker has called that was not known at the last report."""
        self._callers = Callers(self.has_new.set)
        self._reporting = asyncio.Lock()
        self._stopped: list[Caller] = []
        """Workers whose sign-off waits for the next report."""
        self._next_stops: asyncio.Task[None] | None = None
        """Waits to report `_stopped`; None if there are none."""

    def note_fetch(self, worker_id: str, hostname: str | None, queues: Sequence[str]) -> None:
        """Record a fetch of a worker."""
        self._callers.note_fetch(worker_id, hostname, queues, self._clock())

    def note_heartbeat(self, worker_id: str) -> None:
        """Record a heartbeat of a worker."""
        self._callers.note_heartbeat(worker_id, self._clock())

    async def note_stop(self, worker_id: str) -> None:
        """Forget a worker that has stopped, on all nodes. It is listed while it has active jobs.

        Calls on other nodes within the next second count as earlier ones. Raise `StoreError` if the
        other nodes cannot learn of it now; then they do with the next `report`.
        """
        now = self._clock()
        self._stopped.append(self._callers.note_stop(worker_id, now + _SETTLING, now))
        if self._next_stops is None:
            self._next_stops = asyncio.create_task(self._report_stops(), name="sign-offs")
        # Workers that stop together share a report, so that one that gives up must not cancel it.
        await asyncio.shield(self._next_stops)

    @verb
    async def report(self) -> int:
        """Report the workers that called since the last report. Return their number.

        Raise `StoreError` if that fails; the next report has them, too.
        """
        self._callers.forget_old(self._clock())
        self.has_new.clear()
        async with self._reporting:
            oldest = self._callers.oldest(self._clock())
            done = 0
            for part in self._callers.unreported():
                await self._write(part)
                done += len(part)
            if self._callers.has_forgotten:
                await self._store.forget_workers(self._clock() - FORGOTTEN_AFTER, oldest)
                self._callers.has_forgotten = False
        return done

    async def has_served(self, queue: str) -> bool:
        """Return whether a worker fetched from a queue within the last hour."""
        return self._callers.serve(queue) or any(
            queue in queues
            for report in await self._store.list_workers(self._clock() - FORGOTTEN_AFTER)
            for queues, _ in report.lists
        )

    @verb
    async def list(self) -> list[WorkerRecord]:
        """Return the workers of the last hour and those with active jobs, by id, with their status.

        Calls on other nodes appear after some seconds, sign-offs at once. A caller with a scope
        gets the workers that fetch from its queues, without their other queues.

        `silent`: the worker has not called for two minutes. `not_fetching`: it sends heartbeats but
        has not fetched for five minutes, because it is at capacity or its fetch loop hangs.
        """
        since = self._clock() - FORGOTTEN_AFTER
        reports = await self._store.list_workers(since)
        holders = await self._store.list_holders()
        now = self._clock()
        self._callers.forget_old(now)
        records = _merged([*self._callers.reports(), *reports], now - FORGOTTEN_AFTER)
        for holder in holders:
            if not is_seen(holder.queue):
                continue
            record = records.setdefault(holder.worker_id, WorkerRecord(holder.worker_id))
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

    async def _report_stops(self) -> None:
        async with self._reporting:
            stopped, self._stopped, self._next_stops = self._stopped, [], None
            await self._write(stopped)

    async def _write(self, callers: Sequence[Caller]) -> None:
        """Report workers. If that fails, the next `report` has them."""
        for caller in callers:
            caller.is_reported = True  # until its next call
        try:
            await self._store.report_workers([caller.report() for caller in callers])
        except BaseException:
            for caller in callers:
                caller.is_reported = False
            raise


def _merged(reports: Iterable[WorkerReport], since: int) -> dict[str, WorkerRecord]:
    """Return the workers that called after `since` and have not signed off since their last call.

    There is at most one report of each node on a worker.
    """
    known: dict[str, list[WorkerReport]] = {}
    for report in reports:
        known.setdefault(report.id, []).append(report)
    records: dict[str, WorkerRecord] = {}
    for worker_id, of_nodes in known.items():
        for report in of_nodes:
            # A node knows the order of the calls that it got itself: its report has no older ones.
            stops = (each.stopped_until or 0 for each in of_nodes if each is not report)
            stop = max(stops, default=0)
            if report.last_call > max(stop, since):
                record = records.setdefault(worker_id, WorkerRecord(worker_id))
                record.add(report, stop, since)
    return records


def _seen_part(record: WorkerRecord, scope: Scope) -> WorkerRecord:
    """Return a worker as if it fetched only from queues in `scope`."""
    lists: dict[tuple[str, ...], int] = {}
    for queues, at in record.lists.items():
        seen = tuple(queue for queue in queues if queue in scope)
        if seen:
            lists[seen] = max(at, lists.get(seen, 0))
    return replace(record, lists=lists, last_fetch=max(lists.values(), default=None))


def _status(record: WorkerRecord, now: int) -> str:
    last_call = max(record.last_fetch or 0, record.last_heartbeat or 0)
    if now - last_call > _SILENT_AFTER:
        return "silent"
    is_beating = record.last_heartbeat is not None and now - record.last_heartbeat < _SILENT_AFTER
    if is_beating and now - (record.last_fetch or record.first_seen or 0) > _NOT_FETCHING_AFTER:
        return "not_fetching"
    return "ok"
