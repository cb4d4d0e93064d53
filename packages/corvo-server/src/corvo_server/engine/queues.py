"""Queues."""

from corvo_server.engine.clock import Clock
from corvo_server.engine.errors import not_found
from corvo_server.store.protocol import Store
from corvo_server.store.records import (
    LimitKeys,
    LimitQueue,
    PauseQueue,
    QueueRecord,
    ThrottleQueue,
)


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
        await self._store.configure_queue(PauseQueue(name, self._clock(), is_paused=True))

    async def resume(self, name: str) -> None:
        """Hand out jobs of the queue again; waiting fetches get them at once."""
        await self._store.configure_queue(PauseQueue(name, self._clock(), is_paused=False))

    async def drain(self, name: str) -> None:
        """Hand out no more jobs, and say so: the queue is empty of active jobs before long."""
        setting = PauseQueue(name, self._clock(), is_paused=True, is_draining=True)
        await self._store.configure_queue(setting)

    async def limit(self, name: str, max_concurrency: int | None) -> None:
        """Let at most so many jobs of the queue be active; None lifts the limit."""
        await self._store.configure_queue(LimitQueue(name, self._clock(), max_concurrency))

    async def limit_keys(self, name: str, max_per_key: int | None) -> None:
        """Let at most so many jobs of one concurrency key be active; None lifts the limit."""
        await self._store.configure_queue(LimitKeys(name, self._clock(), max_per_key))

    async def throttle(self, name: str, rate: int | None, window: int | None) -> None:
        """Start at most `rate` jobs in any window of so many ms; None and None lift the limit."""
        await self._store.configure_queue(ThrottleQueue(name, self._clock(), rate, window))

    def age_of_oldest(self, record: QueueRecord) -> int | None:
        """How long the oldest pending job has been waiting, in ms; None where none waits."""
        if record.oldest_pending_at is None:
            return None
        return max(0, self._clock() - record.oldest_pending_at)
