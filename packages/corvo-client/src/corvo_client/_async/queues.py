"""The client's methods about queues."""

from corvo_client._async.base import AsyncBase
from corvo_client._calls import queues as calls
from corvo_client._options import AnyDuration
from corvo_schema import QueueInfo, QueueStatusReply


class AsyncQueues(AsyncBase):
    """Look at queues, steer and limit them. One that is steered or limited is made if need be."""

    async def list_queues(self) -> list[QueueInfo]:
        """Return all queues with their settings and counts."""
        return await self._send(calls.list_queues())

    async def get_queue(self, name: str) -> QueueInfo:
        """Return one queue. Raises `NotFound`."""
        return await self._send(calls.get_queue(name))

    async def pause_queue(self, name: str) -> QueueStatusReply:
        """Hold the queue's jobs back."""
        return await self._send(calls.pause_queue(name))

    async def resume_queue(self, name: str) -> QueueStatusReply:
        """Hand the queue's jobs out again."""
        return await self._send(calls.resume_queue(name))

    async def drain_queue(self, name: str) -> QueueStatusReply:
        """Hold the queue's jobs back and let the active ones end; `resume_queue` undoes it."""
        return await self._send(calls.drain_queue(name))

    async def clear_queue(self, name: str) -> QueueStatusReply:
        """Remove the queue's waiting jobs for good; the reply says how many."""
        return await self._send(calls.clear_queue(name))

    async def delete_queue(self, name: str) -> QueueStatusReply:
        """Remove the queue with all its jobs for good. Raises `NotFound`."""
        return await self._send(calls.delete_queue(name))

    async def limit_queue(
        self, name: str, limit: int | None = None, *, per_key: int | None = None
    ) -> QueueStatusReply:
        """Let at most `limit` jobs be active, and `per_key` of those that share a concurrency key.

        0 lifts a limit, None leaves it as it is.
        """
        return await self._send(calls.limit_queue(name, limit, per_key))

    async def throttle_queue(
        self, name: str, rate: int, period: AnyDuration = "1s"
    ) -> QueueStatusReply:
        """Let at most `rate` jobs start in any `period`."""
        return await self._send(calls.throttle_queue(name, rate, period))

    async def unthrottle_queue(self, name: str) -> QueueStatusReply:
        """Lift the limit of `throttle_queue`."""
        return await self._send(calls.unthrottle_queue(name))
