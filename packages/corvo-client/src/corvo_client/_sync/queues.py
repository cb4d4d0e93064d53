# Generated from src/corvo_client/_async/queues.py by scripts/gen_sync.py. Do not edit.
"""The client's methods about queues."""

from corvo_client._calls import queues as calls
from corvo_client._sync.base import Base
from corvo_schema import QueueInfo, QueueStatusReply


class Queues(Base):
    """Look at queues, pause and resume them."""

    def list_queues(self) -> list[QueueInfo]:
        """Return all queues with their settings and counts."""
        return self._send(calls.list_queues())

    def get_queue(self, name: str) -> QueueInfo:
        """Return one queue. Raises `NotFound`."""
        return self._send(calls.get_queue(name))

    def pause_queue(self, name: str) -> QueueStatusReply:
        """Hold the queue's jobs back. A queue that does not exist yet is made."""
        return self._send(calls.pause_queue(name))

    def resume_queue(self, name: str) -> QueueStatusReply:
        """Hand the queue's jobs out again."""
        return self._send(calls.resume_queue(name))
