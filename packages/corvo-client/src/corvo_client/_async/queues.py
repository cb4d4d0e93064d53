"""The client's methods about queues."""

from corvo_client._async.base import AsyncBase
from corvo_client._calls import queues as calls
from corvo_schema import QueueInfo, QueueStatusReply


class AsyncQueues(AsyncBase):
    """Look at queues, pause and resume them."""

    async def list_queues(self) -> list[QueueInfo]:
        """Return all queues with their settings and counts."""
        return await self._send(calls.list_queues())

    async def get_queue(self, name: str) -> QueueInfo:
        """Return one queue. Raises `NotFound`."""
        return await self._send(calls.get_queue(name))

    async def pause_queue(self, name: str) -> QueueStatusReply:
        """Hold the queue's jobs back. A queue that does not exist yet is made."""
        return await self._send(calls.pause_queue(name))

    async def resume_queue(self, name: str) -> QueueStatusReply:
        """Hand the queue's jobs out again."""
        return await self._send(calls.resume_queue(name))
