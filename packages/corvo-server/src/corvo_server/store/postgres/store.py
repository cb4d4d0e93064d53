"""The store on PostgreSQL, which any number of servers may share."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from corvo_schema import BatchState
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.filters import JobFilter
from corvo_server.store.nodes import NodeRecord, NodeReport, Standing
from corvo_server.store.postgres import (
    batches,
    bulk,
    events,
    jobs,
    lines,
    maintenance,
    nodes,
    queues,
    schedules,
    search,
)
from corvo_server.store.postgres.coordination import Coordination
from corvo_server.store.postgres.database import prepare
from corvo_server.store.postgres.listener import POLL_SECONDS, POLL_SECONDS_ALONE, Listener
from corvo_server.store.postgres.nodes import node_of
from corvo_server.store.postgres.readers import Readers
from corvo_server.store.postgres.session import PostgresSession
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.records import (
    BatchRecord,
    Commit,
    Event,
    Holder,
    JobRecord,
    NextTimes,
    QueueRecord,
)
from corvo_server.store.schedules import ScheduleRecord
from corvo_server.store.search import Found, Search
from corvo_server.store.writer import Writer
from corvo_server.store.writes import Writes

_CHECK_SECONDS = 5
_SEARCHERS = 2
"""Apart from the readers, so that searches never keep a look at one job waiting."""


class PostgresStore(Writes):
    """Implements `store.protocol.Store`."""

    is_shared = True

    def __init__(
        self,
        url: str,
        *,
        schema: str = "corvo",
        connections: int = 8,
        listen_url: str | None = None,
        notify: bool = True,
        poll_seconds: float | None = None,
        max_backlog: int = 10_000,
        max_commit: int = 1_000,
        search_seconds: float = 5,
    ) -> None:
        """Open the database, and bring its schema up to date.

        `connections` read, besides one that writes, two that search and one that listens. Where
        `url` leads to a pooler of transactions, on which nobody can listen, `listen_url` leads past
        it.
        `poll_seconds` is how often to look at what others did without being told; 0 never looks.
        Raises `UnusableStoreError`.
        """
        prepare(listen_url or url, schema)
        channel = f"{schema}_news" if notify else None
        session = PostgresSession(url, schema=schema, channel=channel)
        super().__init__(Writer(session, max_backlog=max_backlog, max_commit=max_commit))
        self.node_id = node_of(session.writer_id)
        self._readers = Readers(url, connections, schema=schema)
        self._searchers = Readers(url, _SEARCHERS, schema=schema)
        self._search_seconds = search_seconds
        self._coordination = Coordination(url, schema=schema)
        self._base = events.key_base(schema)
        if poll_seconds is None:
            poll_seconds = POLL_SECONDS if notify else POLL_SECONDS_ALONE
        self._listener: Listener | None = None
        if poll_seconds > 0:
            self._listener = Listener(
                listen_url or url,
                self._hear,
                schema=schema,
                channel=channel,
                writer_id=session.writer_id,
                poll_seconds=poll_seconds,
            )
        self._loop: asyncio.AbstractEventLoop | None = None  # known once somebody wants news
        self._is_closed = False

    def on_commit(self, listener: Callable[[Commit], None]) -> None:
        super().on_commit(listener)
        if self._listener is not None and self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._listener.start()

    def _hear(self, commit: Commit) -> None:
        """On the listener's thread: pass on what another server did."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._writer.tell, commit)

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
        return await self._readers.run_fresh(events.read_events, self._base, after, limit)

    async def last_event_id(self) -> int:
        return await self._readers.run_fresh(events.last_event_id, self._base)

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

    async def beat(self, report: NodeReport, lease_ms: int) -> Standing:
        return await self._coordination.run(nodes.beat, report, lease_ms)

    async def leave(self, node_id: str) -> None:
        await self._coordination.run(nodes.leave, node_id)

    async def list_nodes(self) -> list[NodeRecord]:
        return await self._readers.run(nodes.list_nodes)

    async def check(self) -> None:
        if not self._writer.is_running:
            raise StoreUnavailable("the writer has stopped")
        try:
            # A pooler lets its clients wait while the database is out of reach.
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._readers.run(lambda wire: wire.ask("SELECT 1"))
        except TimeoutError as error:
            raise StoreUnavailable("the database does not answer") from error

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._listener is not None:
            await asyncio.to_thread(self._listener.close)
        await self._writer.drain()
        await self._readers.close()
        await self._searchers.close()
        await self._writer.close()
        await self._coordination.close()
