"""The store on PostgreSQL, which several servers can share."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from corvo_server.store.commit.writer import Backlog, Writer
from corvo_server.store.commit.writes import Writes
from corvo_server.store.lanes import CONNECTIONS
from corvo_server.store.nodes import HeartbeatResult, NodeRecord, NodeReport
from corvo_server.store.postgres import (
    audit,
    batches,
    bulk,
    events,
    jobs,
    keys,
    maintenance,
    nodes,
    pending,
    queues,
    schedules,
    search,
    webhooks,
    workers,
)
from corvo_server.store.postgres.coordination import Coordination
from corvo_server.store.postgres.database import prepare
from corvo_server.store.postgres.listener import POLL_SECONDS, POLL_SECONDS_ALONE, Listener
from corvo_server.store.postgres.nodes import node_of
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.readers import Readers
from corvo_server.store.postgres.session import PostgresSession
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.reads import Queries, Reads
from corvo_server.store.records import (
    Commit,
    Event,
)
from corvo_server.store.workers import WorkerReport

_CHECK_SECONDS = 5
"""Seconds after which a readiness check fails if the database does not answer."""
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


class PostgresStore(Reads[Pipeline], Writes):
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
        max_backlog_bytes: int = 32 * 1024 * 1024,
        max_commit: int = 1_000,
        search_seconds: float = 5,
    ) -> None:
        """Open the database and migrate its schema. Raises `UnusableStoreError`.

        `connections` is the number of connections for reads. `listen_url` is a URL without the
        pooler, if `url` is that of a transaction pooler, on which LISTEN does not work.
        `poll_seconds` is the time between polls for changes by other servers (0: no polling).
        """
        prepare(listen_url or url, schema)
        channel = f"{schema}_news" if notify else None
        session = PostgresSession(url, schema=schema, channel=channel)
        backlog = Backlog(max_backlog, max_backlog_bytes)
        Writes.__init__(self, Writer(session, backlog, max_commit=max_commit))
        self._readers: Readers = Readers(url, connections, schema=schema)
        Reads.__init__(
            self,
            _QUERIES,
            readers=self._readers,
            searchers=Readers(url, CONNECTIONS, schema=schema),
            search_seconds=search_seconds,
        )
        self.node_id = node_of(session.writer_id)
        self._coordination = Coordination(url, schema=schema)
        self._base = events.key_base(schema)
        if poll_seconds is None:
            poll_seconds = POLL_SECONDS if notify else POLL_SECONDS_ALONE
        self._listener: Listener | None = None
        if poll_seconds > 0:
            self._listener = Listener(
                listen_url or url,
                self._deliver_commit,
                schema=schema,
                channel=channel,
                writer_id=session.writer_id,
                poll_seconds=poll_seconds,
            )
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop on which the `on_commit` listeners run; None before the first listener."""
        self._is_closed = False

    def on_commit(self, listener: Callable[[Commit], None]) -> None:
        super().on_commit(listener)
        if self._listener is not None and self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._listener.start()

    def _deliver_commit(self, commit: Commit) -> None:
        """Pass a commit of another server to the event loop. Runs on the listener's thread."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed, so there are no listeners any more
                self._loop.call_soon_threadsafe(self._writer.notify_listeners, commit)

    async def read_events(self, after: int, limit: int, max_data: int | None = None) -> list[Event]:
        read = events.read_events
        return await self._readers.run_fresh(read, self._base, after, limit, max_data)

    async def last_event_id(self) -> int:
        return await self._readers.run_fresh(events.last_event_id, self._base)

    async def beat(self, report: NodeReport, lease_ms: int) -> HeartbeatResult:
        return await self._coordination.run(nodes.beat, report, lease_ms)

    async def leave(self, node_id: str) -> None:
        await self._coordination.run(nodes.leave, node_id)

    async def list_nodes(self) -> list[NodeRecord]:
        return await self._readers.run(nodes.list_nodes)

    async def report_workers(self, reports: Sequence[WorkerReport]) -> None:
        await self._coordination.run(workers.report_workers, self.node_id, reports)

    async def forget_workers(self, before: int, own_before: int) -> None:
        await self._coordination.run(workers.forget_workers, self.node_id, before, own_before)

    async def list_workers(self, since: int) -> list[WorkerReport]:
        return await self._readers.run(workers.list_workers, self.node_id, since)

    async def check(self) -> None:
        if not self._writer.is_running:
            raise StoreUnavailable("the writer has stopped")
        try:
            # A pooler makes its clients wait while the database is unreachable.
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._readers.run(lambda pipeline: pipeline.ask("SELECT 1"))
        except TimeoutError as error:
            raise StoreUnavailable(
                f"the database did not answer within {_CHECK_SECONDS} seconds"
            ) from error

    async def check_ready(self) -> None:
        await self.check()
        if self._writer.failure is not None:
            raise StoreUnavailable(self._writer.failure)

    @property
    def storage(self) -> None:
        return None

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._listener is not None:
            await asyncio.to_thread(self._listener.close)
        await self._writer.drain()
        await self._close_pools()
        await self._writer.close()
        await self._coordination.close()
