"""Queues."""

from corvo_server.engine.clock import Clock
from corvo_server.engine.errors import not_found
from corvo_server.store.protocol import Store
from corvo_server.store.records import PauseQueue, QueueRecord


class Queues:
    """Verbs on queues."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def list(self) -> list[QueueRecord]:
        """All queues by name."""
        return await self._store.list_queues()

    async def get(self, name: str) -> QueueRecord:
        """One queue."""
        record = await self._store.find_queue(name)
        if record is None:
            raise not_found(f"queue {name!r}; it comes into being with its first job or setting")
        return record

    async def pause(self, name: str) -> None:
        """Hand out no more jobs of the queue; they can still be enqueued."""
        await self._store.set_paused(PauseQueue(name, is_paused=True, now=self._clock()))

    async def resume(self, name: str) -> None:
        """Hand out jobs of the queue again; waiting fetches get them at once."""
        await self._store.set_paused(PauseQueue(name, is_paused=False, now=self._clock()))

    def age_of_oldest(self, record: QueueRecord) -> int | None:
        """How long the oldest pending job has been waiting, in ms; None where none waits."""
        if record.oldest_pending_at is None:
            return None
        return max(0, self._clock() - record.oldest_pending_at)
