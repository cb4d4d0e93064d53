"""Client methods for bulk operations."""

from collections.abc import Iterable

from corvo_client._async.base import AsyncBase
from corvo_client._async.bulk_handle import AsyncBulkHandle
from corvo_client._calls import search as calls
from corvo_client._errors import BadReply
from corvo_client._options import AnyAction, AnyPriority, AnyStates, SearchFilters
from corvo_schema import BulkAccepted, BulkOperation, BulkReply, SearchFilter


class AsyncBulk(AsyncBase):
    """Apply one action to many jobs.

    Select the jobs by `job_ids` (up to 10,000) or by `filters`; empty filters match every job.
    Actions: `retry` (dead and cancelled jobs, with all their attempts), `requeue` (dead jobs, for
    one more attempt), `cancel` (unfinished jobs), `delete` (all but active jobs), `move` (all but
    active jobs, to `move_to_queue`), `change_priority` (waiting jobs, to `priority`). `states`
    limits the action to jobs in these states. `retry` also takes completed jobs if `states` or the
    filter `state` names them. A job in another state does not change and counts as an error. Jobs
    that are enqueued later are not affected.
    """

    async def bulk(
        self,
        action: AnyAction,
        *,
        job_ids: Iterable[str] | None = None,
        filters: SearchFilters | SearchFilter | None = None,
        states: AnyStates | None = None,
        move_to_queue: str | None = None,
        priority: AnyPriority | None = None,
    ) -> BulkReply:
        """Apply the action and return when it is completed for all jobs.

        Raises `ValidationFailed`, and `BulkStopped` if the operation was cancelled or failed.
        """
        call = calls.bulk(
            action,
            job_ids=job_ids,
            filters=filters,
            states=states,
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
        states: AnyStates | None = None,
        move_to_queue: str | None = None,
        priority: AnyPriority | None = None,
    ) -> AsyncBulkHandle:
        """Start the action in the background of the server. It continues after a restart.

        Raises `ValidationFailed`.
        """
        call = calls.bulk(
            action,
            job_ids=job_ids,
            filters=filters,
            states=states,
            move_to_queue=move_to_queue,
            priority=priority,
            in_background=True,
        )
        reply = await self._send(call)
        if not isinstance(reply, BulkAccepted):
            raise BadReply("the server ran the bulk operation at once instead of in the background")
        return self.bulk_handle(reply.bulk_operation_id)

    def bulk_handle(self, bulk_id: str) -> AsyncBulkHandle:
        """Return the handle of an operation with a known id."""
        return AsyncBulkHandle(self._session, bulk_id)

    async def list_bulk(self) -> list[BulkOperation]:
        """Return the last 100 operations in the background, newest first."""
        return await self._send(calls.list_bulk())

    async def get_bulk(self, bulk_id: str) -> BulkOperation:
        """Return the status and the progress of an operation. Raises `NotFound`."""
        return await self._send(calls.get_bulk(bulk_id))

    async def cancel_bulk(self, bulk_id: str) -> BulkOperation:
        """Cancel an operation. Its changes so far stay. Raises `NotFound`, `InvalidState`."""
        return await self._send(calls.cancel_bulk(bulk_id))
