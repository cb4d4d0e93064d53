"""Client methods for queues."""

from collections.abc import Mapping
from typing import Any, Unpack

from corvo_client._async.base import AsyncBase
from corvo_client._async.bulk_handle import AsyncBulkHandle
from corvo_client._call import Call
from corvo_client._calls import queues as calls
from corvo_client._options import AnyDuration, DefaultOptions
from corvo_schema import BulkAccepted, QueueInfo, QueueStatusReply


class AsyncQueues(AsyncBase):
    """Read, control and limit queues. Controlling or limiting an unknown queue creates it."""

    async def list_queues(self) -> list[QueueInfo]:
        """Return all queues with their settings and counts."""
        return await self._send(calls.list_queues())

    async def get_queue(self, name: str) -> QueueInfo:
        """Return one queue. Raises `NotFound`."""
        return await self._send(calls.get_queue(name))

    async def pause_queue(self, name: str) -> QueueStatusReply:
        """Stop fetches from the queue until `resume_queue`."""
        return await self._send(calls.pause_queue(name))

    async def resume_queue(self, name: str) -> QueueStatusReply:
        """Allow fetches from the queue again."""
        return await self._send(calls.resume_queue(name))

    async def drain_queue(self, name: str) -> QueueStatusReply:
        """Stop fetches from the queue and let active jobs finish. `resume_queue` undoes it."""
        return await self._send(calls.drain_queue(name))

    async def clear_queue(self, name: str) -> QueueStatusReply:
        """Delete the pending and scheduled jobs of the queue permanently.

        Return when all are deleted; the reply has their number. Raises `NotFound`, and
        `BulkStopped` if the server was told to stop before the end.
        """
        return await self._emptied("cleared", calls.clear_queue(name))

    async def delete_queue(self, name: str) -> QueueStatusReply:
        """Delete the queue and all its jobs permanently.

        Return when all are deleted; the reply has their number. Jobs that are enqueued meanwhile
        stay. Raises `NotFound`, `InvalidState` if jobs are active, and `BulkStopped` if the server
        was told to stop before the end.
        """
        return await self._emptied("deleted", calls.delete_queue(name))

    async def _emptied(
        self, status: str, call: Call[QueueStatusReply | BulkAccepted]
    ) -> QueueStatusReply:
        reply = await self._send(call)
        if not isinstance(reply, BulkAccepted):
            return reply
        done = await AsyncBulkHandle(self._session, reply.bulk_operation_id).wait()
        return QueueStatusReply(status=status, deleted=done.affected)

    async def limit_queue(
        self, name: str, limit: int | None = None, *, per_key: int | None = None
    ) -> QueueStatusReply:
        """Limit the active jobs of the queue to `limit`, and to `per_key` per concurrency key.

        0 removes a limit; None does not change it. Raises `ValidationFailed`.
        """
        return await self._send(calls.limit_queue(name, limit, per_key))

    async def throttle_queue(
        self, name: str, rate: int, period: AnyDuration = "1s"
    ) -> QueueStatusReply:
        """Limit the queue to at most `rate` job starts in any `period`."""
        return await self._send(calls.throttle_queue(name, rate, period))

    async def unthrottle_queue(self, name: str) -> QueueStatusReply:
        """Remove the rate limit of the queue."""
        return await self._send(calls.unthrottle_queue(name))

    async def set_queue_defaults(
        self,
        name: str,
        *,
        payload_schema: Mapping[str, Any] | None = None,
        **options: Unpack[DefaultOptions],
    ) -> QueueStatusReply:
        """Replace the defaults of the queue: options of jobs whose request leaves them out.

        `payload_schema` is a JSON Schema of the payloads, of at most 64 KiB. Clients can check
        payloads with it. Raises `ValidationFailed`.
        """
        return await self._send(calls.set_queue_defaults(name, options, payload_schema))

    async def clear_queue_defaults(self, name: str) -> QueueStatusReply:
        """Remove the defaults of the queue."""
        return await self._send(calls.clear_queue_defaults(name))
