"""Verbs on queues."""

from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.engine import lifecycle
from corvo_server.engine.clock import Clock
from corvo_server.engine.errors import CallError, not_found
from corvo_server.engine.sweep import sweep
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.protocol import Store
from corvo_server.store.queues import (
    LimitKeys,
    LimitQueue,
    PauseQueue,
    QueueRecord,
    ThrottleQueue,
)
from corvo_server.store.records import (
    JobHead,
    Outcome,
    Unchanged,
)
from corvo_server.store.search.filters import JobFilter


class Queues(Part):
    """Verbs on queues."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @verb
    async def list(self) -> list[QueueRecord]:
        """Return all queues by name, with their settings and counts."""
        return await self._store.list_queues()

    @verb
    async def get(self, name: str) -> QueueRecord:
        """Return a queue with its settings and counts. Raise `CallError` if it does not exist."""
        record = await self._store.find_queue(name)
        if record is None:
            raise not_found(f"queue {name!r}; its first job or setting creates a queue")
        return record

    @verb
    async def pause(self, name: str) -> None:
        """Stop fetches from the queue. Jobs can still be enqueued."""
        await self._store.configure_queue(PauseQueue(name, self._clock(), is_paused=True))

    @verb
    async def resume(self, name: str) -> None:
        """Allow fetches from the queue again. Waiting fetches get its jobs at once."""
        await self._store.configure_queue(PauseQueue(name, self._clock(), is_paused=False))

    @verb
    async def drain(self, name: str) -> None:
        """Pause the queue and mark it as draining. Active jobs finish; `resume` ends both."""
        setting = PauseQueue(name, self._clock(), is_paused=True, is_draining=True)
        await self._store.configure_queue(setting)

    @verb
    async def limit(self, name: str, max_concurrency: int | None) -> None:
        """Limit the number of active jobs of the queue; None removes the limit."""
        await self._store.configure_queue(LimitQueue(name, self._clock(), max_concurrency))

    @verb
    async def limit_keys(self, name: str, max_per_key: int | None) -> None:
        """Limit the number of active jobs per concurrency key; None removes the limit."""
        await self._store.configure_queue(LimitKeys(name, self._clock(), max_per_key))

    @verb
    async def limit_both(
        self, name: str, max_concurrency: int | None, max_per_key: int | None
    ) -> None:
        """Set the limits of `limit` and `limit_keys` in one change."""
        now = self._clock()
        await self._store.configure_queue(
            LimitQueue(name, now, max_concurrency), LimitKeys(name, now, max_per_key)
        )

    @verb
    async def throttle(self, name: str, rate: int | None, window: int | None) -> None:
        """Limit starts to `rate` jobs in any `window` ms. None for both removes the limit."""
        await self._store.configure_queue(ThrottleQueue(name, self._clock(), rate, window))

    @verb
    async def clear(self, name: str) -> int:
        """Delete the pending and scheduled jobs of the queue. Return their number."""
        await self.get(name)
        states = frozenset({JobState.PENDING, JobState.SCHEDULED})
        now = self._clock()

        def decide(job: JobHead) -> Outcome:
            if job.queue != name or job.state not in states:  # changed since the search
                return Unchanged(job)
            return lifecycle.delete(job, now)

        return (await sweep(self._store, JobFilter(queue=name, states=states), decide)).affected

    @verb
    async def delete(self, name: str) -> int:
        """Delete the queue with all its jobs and settings. Return the number of jobs.

        Raise `CallError` if jobs are active. A queue that gets jobs during the call remains.
        """
        before = await self.get(name)
        await self.pause(name)
        queue = await self.get(name)
        if queue.active:
            await self._restore_pause(before)
            raise CallError(
                ErrorCode.INVALID_STATE,
                f"Queue {name} has {queue.active} active jobs. Drain it and wait for them, or "
                "cancel them, then delete it.",
            )
        now = self._clock()

        def decide(job: JobHead) -> Outcome:
            return lifecycle.delete(job, now) if job.queue == name else Unchanged(job)

        tally = await sweep(self._store, JobFilter(queue=name), decide)
        if not await self._store.drop_queue(name):
            await self._restore_pause(before)
        return tally.affected

    async def _restore_pause(self, before: QueueRecord) -> None:
        setting = PauseQueue(before.name, self._clock(), before.is_paused, before.is_draining)
        await self._store.configure_queue(setting)

    def age_of_oldest(self, record: QueueRecord) -> int | None:
        """Return the waiting time of the oldest pending job in ms; None if none is pending."""
        if record.oldest_pending_at is None:
            return None
        return max(0, self._clock() - record.oldest_pending_at)
