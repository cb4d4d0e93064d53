"""The client's methods that act on many jobs."""

from collections.abc import Iterable

from corvo_client._async.base import AsyncBase
from corvo_client._async.bulk_handle import AsyncBulkHandle
from corvo_client._calls import search as calls
from corvo_client._errors import BadReply
from corvo_client._options import AnyAction, AnyPriority, SearchFilters
from corvo_schema import BulkAccepted, BulkOperation, BulkReply, SearchFilter


class AsyncBulk(AsyncBase):
    """Do one thing to many jobs.

    The jobs are named by `job_ids`, up to 10,000, or matched by `filters`; exactly one of the two,
    and filters that are empty match every job. Actions: `retry` (ended jobs, with all their
    attempts), `requeue` (dead ones, one attempt more), `cancel` (those that have not ended),
    `delete` (all but active ones), `move` (likewise, to `move_to_queue`), `change_priority`
    (waiting ones, to `priority`). Jobs whose state does not allow it are counted as errors and left
    as they are. What is enqueued later is not touched, even if it matches.
    """

    async def bulk(
        self,
        action: AnyAction,
        *,
        job_ids: Iterable[str] | None = None,
        filters: SearchFilters | SearchFilter | None = None,
        move_to_queue: str | None = None,
        priority: AnyPriority | None = None,
    ) -> BulkReply:
        """Act on the jobs, and return when all is done, however many they are.

        Raises `ValidationFailed`, and `BulkStopped` when somebody cancelled it or it failed.
        """
        call = calls.bulk(
            action,
            job_ids=job_ids,
            filters=filters,
            move_to_queue=move_to_queue,
            priority=priority,
        )
        reply = await self._send(call)
        if not isinstance(reply, BulkAccepted):
            return reply
        done = await self.bulk_handle(reply.bulk_operation_id).wait()
        seconds = ((done.finished_at or done.created_at) - done.created_at).total_seconds()
        return BulkReply(
            affected=done.affected, errors=done.errors, duration_ms=round(seconds * 1000, 3)
        )

    async def start_bulk(
        self,
        action: AnyAction,
        *,
        job_ids: Iterable[str] | None = None,
        filters: SearchFilters | SearchFilter | None = None,
        move_to_queue: str | None = None,
        priority: AnyPriority | None = None,
    ) -> AsyncBulkHandle:
        """Let the server act on the jobs in the background; it goes on even if it is restarted.

        Raises `ValidationFailed`.
        """
        call = calls.bulk(
            action,
            job_ids=job_ids,
            filters=filters,
            move_to_queue=move_to_queue,
            priority=priority,
            in_background=True,
        )
        reply = await self._send(call)
        if not isinstance(reply, BulkAccepted):
            raise BadReply("the server did at once what it was to do in the background")
        return self.bulk_handle(reply.bulk_operation_id)

    def bulk_handle(self, bulk_id: str) -> AsyncBulkHandle:
        """Return the handle of an operation that was started earlier or elsewhere."""
        return AsyncBulkHandle(self._session, bulk_id)

    async def list_bulk(self) -> list[BulkOperation]:
        """Return the last hundred operations in the background, the newest first."""
        return await self._send(calls.list_bulk())

    async def get_bulk(self, bulk_id: str) -> BulkOperation:
        """Return how far an operation is. Raises `NotFound`."""
        return await self._send(calls.get_bulk(bulk_id))

    async def cancel_bulk(self, bulk_id: str) -> BulkOperation:
        """Stop an operation; what it has done stays. Raises `NotFound`, `InvalidState`."""
        return await self._send(calls.cancel_bulk(bulk_id))
