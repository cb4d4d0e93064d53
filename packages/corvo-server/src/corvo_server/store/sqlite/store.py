"""The embedded store: one SQLite file, owned by one server process."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from corvo_schema import BatchState
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.filters import JobFilter
from corvo_server.store.nodes import NodeRecord, NodeReport, Standing
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.records import (
    BatchRecord,
    Event,
    Holder,
    JobRecord,
    NextTimes,
    QueueRecord,
)
from corvo_server.store.schedules import ScheduleRecord
from corvo_server.store.search import Found, Search
from corvo_server.store.sqlite import (
    batches,
    bulk,
    events,
    jobs,
    lines,
    maintenance,
    queues,
    schedules,
    search,
)
from corvo_server.store.sqlite.database import DATABASE_NAME, lock_data_dir, open_writer
from corvo_server.store.sqlite.readers import Readers
from corvo_server.store.sqlite.session import SqliteSession
from corvo_server.store.writer import Writer
from corvo_server.store.writes import Writes

_READERS = 4
_SEARCHERS = 2
"""Apart from the readers, so that searches never keep a look at one job waiting."""


class SqliteStore(Writes):
    """Implements `store.protocol.Store`."""

    def __init__(
        self,
        data_dir: Path,
        *,
        max_backlog: int = 10_000,
        max_commit: int = 1_000,
        search_seconds: float = 5,
    ) -> None:
        """Open `data_dir`, creating it if need be, and bring its schema up to date.

        At most `max_backlog` operations wait for their commit, and `max_commit` share one, beside
        what is submitted together. A search that takes `search_seconds` is stopped.
        Raises `DataDirLockedError` or `NewerSchemaError`, both with a sentence for the operator.
        """
        self._lock = lock_data_dir(data_dir)
        path = data_dir / DATABASE_NAME
        try:
            session = SqliteSession(open_writer(path))
        except BaseException:
            self._lock.release()
            raise
        super().__init__(Writer(session, max_backlog=max_backlog, max_commit=max_commit))
        self._readers = Readers(path, _READERS)
        self._searchers = Readers(path, _SEARCHERS)
        self._search_seconds = search_seconds
        self._path = path
        self._is_closed = False

    async def find_jobs(self, job_ids: Sequence[str]) -> list[JobRecord]:
        return await self._readers.run(jobs.find_jobs, job_ids)

    async def find_job(self, job_id: str) -> JobRecord | None:
        return await self._readers.run(jobs.find_job, job_id)

    async def find_batch(self, batch_id: str) -> BatchRecord | None:
        return await self._readers.run(batches.find_batch, batch_id)

    async def list_batches(
        self, before: str | None, limit: int, state: BatchState | None
    ) -> list[BatchRecord]:
        return await self._readers.run(batches.list_batches, before, limit, state)

    async def search(self, request: Search) -> Found:
        return await self._searchers.run_within(self._search_seconds, search.search, request)

    async def matching_ids(
        self, wanted: JobFilter, after_seq: int, limit: int
    ) -> list[tuple[int, str]]:
        return await self._searchers.run_within(
            self._search_seconds, search.matching_ids, wanted, after_seq, limit
        )

    async def list_queues(self) -> list[QueueRecord]:
        return await self._readers.run(queues.list_queues)

    async def find_queue(self, name: str) -> QueueRecord | None:
        found = await self._readers.run(queues.list_queues, name)
        return found[0] if found else None

    async def read_events(self, after: int, limit: int) -> list[Event]:
        return await self._readers.run(events.read_events, after, limit)

    async def last_event_id(self) -> int:
        return await self._readers.run(events.last_event_id)

    async def list_holders(self) -> list[Holder]:
        return await self._readers.run(lines.list_holders)

    async def list_schedules(self) -> list[ScheduleRecord]:
        return await self._readers.run(schedules.list_schedules)

    async def find_schedule(self, reference: str) -> ScheduleRecord | None:
        return await self._readers.run(schedules.find_schedule, reference)

    async def find_bulk(self, bulk_id: str) -> BulkRecord | None:
        return await self._readers.run(bulk.find_bulk, bulk_id)

    async def list_bulks(self, limit: int) -> list[BulkRecord]:
        return await self._readers.run(bulk.list_bulks, limit)

    async def next_bulk(self) -> BulkRecord | None:
        return await self._readers.run(bulk.next_bulk)

    async def last_seq(self) -> int:
        return await self._readers.run(jobs.last_seq)

    async def next_times(self) -> NextTimes:
        return await self._readers.run(maintenance.next_times)

    @property
    def is_shared(self) -> bool:
        return False

    async def beat(self, report: NodeReport, lease_ms: int) -> Standing:
        return Standing(is_leader=True)

    async def leave(self, node_id: str) -> None:
        return

    async def list_nodes(self) -> list[NodeRecord]:
        return []

    async def check(self) -> None:
        if not self._writer.is_running:
            raise StoreUnavailable("the writer has stopped")
        if not await asyncio.to_thread(self._path.exists):
            raise StoreUnavailable(f"the database file {self._path} is gone")
        await self._readers.run(lambda connection: connection.execute("SELECT 1"))

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        await self._writer.drain()
        await self._readers.close()
        await self._searchers.close()
        await self._writer.close()  # last: whoever closes last removes the write-ahead log
        self._lock.release()
