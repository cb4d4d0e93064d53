"""The embedded store: one SQLite file, owned by one server process."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from corvo_server.store.commit.writer import Backlog, Writer
from corvo_server.store.commit.writes import Writes
from corvo_server.store.lanes import CONNECTIONS
from corvo_server.store.nodes import HeartbeatResult, NodeRecord, NodeReport
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.reads import Queries, Reads
from corvo_server.store.records import Event
from corvo_server.store.sqlite import (
    audit,
    batches,
    bulk,
    events,
    jobs,
    keys,
    maintenance,
    pending,
    queues,
    schedules,
    search,
    webhooks,
)
from corvo_server.store.sqlite.clock import read_clock
from corvo_server.store.sqlite.database import (
    DATABASE_NAME,
    LOCK_NAME,
    lock_data_dir,
    open_durable_writer,
)
from corvo_server.store.sqlite.files import DataFiles
from corvo_server.store.sqlite.readers import Readers
from corvo_server.store.sqlite.session import SqliteSession
from corvo_server.store.sqlite.space import Space
from corvo_server.store.sqlite.watch import Watch
from corvo_server.store.storage import Storage
from corvo_server.store.workers import WorkerReport

_READERS = 4
_QUERIES = Queries(
    find_jobs=jobs.find_jobs,
    sizes=jobs.sizes,
    find_job=jobs.find_job,
    find_batch=batches.find_batch,
    list_batches=batches.list_batches,
    queues_of_batches=batches.queues_of_batches,
    search=search.search,
    matching_ids=search.matching_ids,
    list_queues=queues.list_queues,
    find_queue=queues.find_queue,
    list_holders=pending.list_holders,
    list_schedules=schedules.list_schedules,
    find_schedule=schedules.find_schedule,
    find_bulk=bulk.find_bulk,
    list_bulks=bulk.list_bulks,
    next_bulk=bulk.next_bulk,
    last_seq=jobs.last_seq,
    next_times=maintenance.next_times,
    list_keys=keys.list_keys,
    keys_version=keys.keys_version,
    list_audit=audit.list_audit,
    list_webhooks=webhooks.list_webhooks,
    list_sources=webhooks.list_sources,
    tags_of=jobs.tags_of,
)


class SqliteStore(Reads[sqlite3.Connection], Writes):
    """Implements `store.protocol.Store`."""

    def __init__(
        self,
        data_dir: Path,
        *,
        max_backlog: int = 10_000,
        max_backlog_bytes: int = 32 * 1024 * 1024,
        max_commit: int = 1_000,
        search_seconds: float = 5,
    ) -> None:
        """Open the database in `data_dir`, created if it is missing, and migrate its schema.

        `max_backlog` and `max_backlog_bytes` limit the operations that wait for a commit (see
        `commit.writer.Backlog`). A commit takes up to `max_commit` operations; operations submitted
        together are never split. A search is stopped after `search_seconds`. Raises
        `UnusableStoreError` with a message for the operator.
        """
        self._lock = lock_data_dir(data_dir)
        path = data_dir / DATABASE_NAME
        try:
            connection = open_durable_writer(path)
        except BaseException:
            self._lock.release()
            raise
        # No other server changes them while this one runs.
        self._wall_offset, self._newest = read_clock(connection)
        space = Space(path)
        space.limit_log(connection)
        files = DataFiles(path, data_dir / LOCK_NAME)
        session = SqliteSession(connection, files, space)
        readers, searchers = Readers(files, _READERS), Readers(files, CONNECTIONS)
        backlog = Backlog(max_backlog, max_backlog_bytes)
        Writes.__init__(self, Writer(session, backlog, max_commit=max_commit))
        Reads.__init__(
            self,
            _QUERIES,
            readers=readers,
            searchers=searchers,
            search_seconds=search_seconds,
        )
        self._path = path
        self._space = space
        self._is_closed = False
        self.watch = Watch(files, (readers, searchers), space=space)
        self.watch.start()

    async def read_events(self, after: int, limit: int, max_data: int | None = None) -> list[Event]:
        return await self._readers.run(events.read_events, after, limit, max_data)

    async def last_event_id(self) -> int:
        return await self._readers.run(events.last_event_id)

    @property
    def is_shared(self) -> bool:
        return False

    async def beat(self, report: NodeReport, lease_ms: int) -> HeartbeatResult:
        return HeartbeatResult(is_leader=True, wall_offset=self._wall_offset, newest=self._newest)

    async def set_wall_offset(self, expected: int, offset: int) -> bool:
        is_set = await super().set_wall_offset(expected, offset)
        if is_set:
            self._wall_offset = offset
        return is_set

    async def leave(self, node_id: str) -> None:
        return

    async def list_nodes(self) -> list[NodeRecord]:
        return []

    async def report_workers(self, reports: Sequence[WorkerReport]) -> None:
        return

    async def forget_workers(self, before: int, own_before: int) -> None:
        return

    async def list_workers(self, since: int) -> list[WorkerReport]:
        return []

    async def check(self) -> None:
        if not self._writer.is_running:
            raise StoreUnavailable("the writer has stopped")
        if not await asyncio.to_thread(self._path.exists):
            raise StoreUnavailable(f"the database file {self._path} does not exist any more")
        await self._readers.run(lambda connection: connection.execute("SELECT 1"))

    async def check_ready(self) -> None:
        problem = await asyncio.to_thread(self.watch.problem)
        if problem is not None:
            raise StoreUnavailable(problem)
        await self.check()
        if self._writer.failure is not None:
            raise StoreUnavailable(self._writer.failure)

    @property
    def storage(self) -> Storage:
        return self.watch.storage

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        await self._writer.drain()
        await self._close_pools()
        await asyncio.to_thread(self.watch.close)
        # The writer closes last: SQLite lets only the last connection remove the write-ahead log,
        # and a read-only connection cannot do it.
        await self._writer.close()
        await asyncio.to_thread(self._space.keep_reserve, is_closing=True)
        self._lock.release()
