"""The reads of a store that are the same on every engine: each runs one query on a pool."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeVar

from corvo_schema import BatchState
from corvo_server.store.audit import AuditEntry, AuditFilter
from corvo_server.store.batches import BatchRecord
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.keys import KeyRing
from corvo_server.store.lanes import Lanes
from corvo_server.store.protocol import JobsTooLarge
from corvo_server.store.queues import QueueRecord
from corvo_server.store.records import (
    Holder,
    JobRecord,
    NextTimes,
)
from corvo_server.store.schedules import ScheduleRecord
from corvo_server.store.search.filters import JobFilter
from corvo_server.store.search.search import Found, Search, SearchLoad
from corvo_server.store.webhooks import SourceRecord, StoredWebhook

C = TypeVar("C")
"""The read transaction that each query of a storage engine takes as its first argument."""
C_co = TypeVar("C_co", covariant=True)
P = ParamSpec("P")
T = TypeVar("T")


class Pool(Protocol[C_co]):
    """A pool of threads, each with a read-only connection. Each call reads from one snapshot."""

    async def run(
        self, read: Callable[Concatenate[C_co, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `read` on a connection and return its result. Raises `StoreUnavailable`."""
        ...

    async def run_within(
        self,
        seconds: float,
        read: Callable[Concatenate[C_co, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `read`; stop it after `seconds`, or when the caller is cancelled.

        Raises `SearchTooSlow` if it ran for `seconds`, and `StoreUnavailable` if it could not start
        within that time.
        """
        ...

    async def close(self) -> None:
        """Wait for running reads to end, then close the connections."""
        ...


@dataclass(frozen=True)
class Queries(Generic[C]):
    """The queries of one storage engine. Each implements the `Store` method of the same name."""

    find_jobs: Callable[[C, Sequence[str]], list[JobRecord]]
    sizes: Callable[[C, Sequence[str]], dict[str, int]]
    """Returns the bytes of documents and errors of jobs, by id."""
    find_job: Callable[[C, str], JobRecord | None]
    find_batch: Callable[[C, str], BatchRecord | None]
    list_batches: Callable[[C, str | None, int, BatchState | None], list[BatchRecord]]
    queues_of_batches: Callable[[C, Sequence[str]], dict[str, set[str]]]
    search: Callable[[C, Search], Found]
    matching_ids: Callable[[C, JobFilter, int, int], list[tuple[int, str]]]
    list_queues: Callable[[C], list[QueueRecord]]
    find_queue: Callable[[C, str], QueueRecord | None]
    list_holders: Callable[[C], list[Holder]]
    list_schedules: Callable[[C], list[ScheduleRecord]]
    find_schedule: Callable[[C, str], ScheduleRecord | None]
    find_bulk: Callable[[C, str], BulkRecord | None]
    list_bulks: Callable[[C, int], list[BulkRecord]]
    next_bulk: Callable[[C], BulkRecord | None]
    last_seq: Callable[[C], int]
    next_times: Callable[[C], NextTimes]
    list_keys: Callable[[C], KeyRing]
    keys_version: Callable[[C], int]
    list_audit: Callable[[C, AuditFilter, int | None, int], list[AuditEntry]]
    list_webhooks: Callable[[C], list[StoredWebhook]]
    list_sources: Callable[[C], list[SourceRecord]]
    tags_of: Callable[[C, Sequence[str]], dict[str, dict[str, str]]]


class Reads(Generic[C]):
    """Implements the reads of `store.protocol.Store`, except those of the event log."""

    def __init__(
        self, queries: Queries[C], readers: Pool[C], searchers: Pool[C], *, search_seconds: float
    ) -> None:
        """Run reads on `readers` and searches on `searchers`, at most `search_seconds` per search.

        Searches have their own pool, so that they never delay the reads of single records. It must
        have `lanes.CONNECTIONS` connections.
        """
        self._queries = queries
        self._readers = readers
        self._searchers = searchers
        self._lanes = Lanes(searchers)
        self._search_seconds = search_seconds

    async def find_jobs(
        self, job_ids: Sequence[str], max_bytes: int | None = None
    ) -> list[JobRecord]:
        return await self._readers.run(self._find_jobs, job_ids, max_bytes)

    def _find_jobs(
        self, connection: C, job_ids: Sequence[str], max_bytes: int | None
    ) -> list[JobRecord]:
        if max_bytes is not None:
            sizes = self._queries.sizes(connection, job_ids)
            size = sum(sizes.values())
            if size > max_bytes and len(sizes) > 1:
                raise JobsTooLarge(f"{len(sizes)} jobs have {size} bytes")
        return self._queries.find_jobs(connection, job_ids)

    async def find_job(self, job_id: str) -> JobRecord | None:
        return await self._readers.run(self._queries.find_job, job_id)

    async def find_batch(self, batch_id: str) -> BatchRecord | None:
        return await self._readers.run(self._queries.find_batch, batch_id)

    async def list_batches(
        self, before: str | None, limit: int, state: BatchState | None
    ) -> list[BatchRecord]:
        return await self._readers.run(self._queries.list_batches, before, limit, state)

    async def queues_of_batches(self, batch_ids: Sequence[str]) -> dict[str, set[str]]:
        return await self._readers.run(self._queries.queues_of_batches, batch_ids)

    async def search(self, request: Search) -> Found:
        return await self._lanes.run(
            self._queries.search,
            self._search_seconds,
            request.caller,
            request.wanted.reads_documents,
            request,
        )

    async def matching_ids(
        self, wanted: JobFilter, after_seq: int, limit: int, caller: str | None = None
    ) -> list[tuple[int, str]]:
        return await self._lanes.run(
            self._queries.matching_ids,
            self._search_seconds,
            caller,
            wanted.reads_documents,
            wanted,
            after_seq,
            limit,
        )

    @property
    def search_load(self) -> SearchLoad:
        return self._lanes.load

    async def list_queues(self) -> list[QueueRecord]:
        return await self._readers.run(self._queries.list_queues)

    async def find_queue(self, name: str) -> QueueRecord | None:
        return await self._readers.run(self._queries.find_queue, name)

    async def list_holders(self) -> list[Holder]:
        return await self._readers.run(self._queries.list_holders)

    async def list_schedules(self) -> list[ScheduleRecord]:
        return await self._readers.run(self._queries.list_schedules)

    async def find_schedule(self, reference: str) -> ScheduleRecord | None:
        return await self._readers.run(self._queries.find_schedule, reference)

    async def find_bulk(self, bulk_id: str) -> BulkRecord | None:
        return await self._readers.run(self._queries.find_bulk, bulk_id)

    async def list_bulks(self, limit: int) -> list[BulkRecord]:
        return await self._readers.run(self._queries.list_bulks, limit)

    async def next_bulk(self) -> BulkRecord | None:
        return await self._readers.run(self._queries.next_bulk)

    async def last_seq(self) -> int:
        return await self._readers.run(self._queries.last_seq)

    async def next_times(self) -> NextTimes:
        return await self._readers.run(self._queries.next_times)

    async def list_keys(self) -> KeyRing:
        return await self._readers.run(self._queries.list_keys)

    async def keys_version(self) -> int:
        return await self._readers.run(self._queries.keys_version)

    async def list_audit(
        self, wanted: AuditFilter, before: int | None, limit: int
    ) -> list[AuditEntry]:
        return await self._readers.run(self._queries.list_audit, wanted, before, limit)

    async def list_webhooks(self) -> list[StoredWebhook]:
        return await self._readers.run(self._queries.list_webhooks)

    async def list_sources(self) -> list[SourceRecord]:
        return await self._readers.run(self._queries.list_sources)

    async def tags_of(self, job_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        return await self._readers.run(self._queries.tags_of, job_ids)

    async def _close_pools(self) -> None:
        await self._readers.close()
        await self._searchers.close()
