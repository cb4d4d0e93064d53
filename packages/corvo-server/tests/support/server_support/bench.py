"""Short forms of the engine's calls, for tests."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from msgspec.structs import replace

from corvo_schema import EnqueueBatchRequest, EnqueueRequest, FetchBatchRequest
from corvo_schema.states import EventType, JobState
from corvo_schema.timestamps import from_ms
from corvo_server.engine.attempts import Ack, Fail, Heartbeat, Release
from corvo_server.engine.engine import Engine, Policy
from corvo_server.store.batches import BatchRecord
from corvo_server.store.protocol import Store
from corvo_server.store.queues import QueueRecord
from corvo_server.store.records import (
    Change,
    Commit,
    Enqueued,
    Event,
    JobHead,
    JobRecord,
    LeasedJob,
    Outcome,
    Unchanged,
)
from server_support.clock import ManualClock, TwoClocks
from server_support.kits import Kit

QUEUE = "mail"
LEASE_MS = 60_000
OWN = "the token that the job was handed out with"

COUNTED_STATES = tuple(JobState)


def make_job(
    queue: str = QUEUE, *, payload: Any = None, at: int | None = None, **fields: Any
) -> tuple[EnqueueRequest, bytes | None]:
    """Return an enqueue and the JSON text of its payload. `at` is `scheduled_at` in ms."""
    if at is not None:
        fields["scheduled_at"] = from_ms(at)
    request = EnqueueRequest.model_validate({"queue": queue, **fields})
    return request, None if payload is None else orjson.dumps(payload)


class Bench:
    """An engine on a store under test, with a clock that tests move."""

    def __init__(
        self, kit: Kit, store: Store, clock: ManualClock | TwoClocks, policy: Policy | None = None
    ) -> None:
        self.kit = kit
        self.clock = clock
        self.policy = policy
        self.commits: list[Commit] = []
        self._use(store)

    def _use(self, store: Store) -> None:
        self.store = store
        self.engine = Engine(store, clock=self.clock, policy=self.policy)
        store.on_commit(self.commits.append)

    async def restart(self) -> None:
        """Close the store and open the same data again."""
        await self.store.close()
        self._use(self.kit.open())

    def assert_listeners_got(self, events: Sequence[Event]) -> None:
        """Assert that listeners got exactly these events of the log, in this order.

        Ignore the ids on a shared store: only readers of the log know them there.
        """
        got = [event for commit in self.commits for event in commit.events]
        if self.store.is_shared:
            got = [replace(event, id=0) for event in got]
            events = [replace(event, id=0) for event in events]
        assert got == list(events)

    # Producers

    async def enqueue(self, queue: str = QUEUE, **fields: Any) -> str:
        """Enqueue one job, which must be new. Return its id."""
        enqueued = await self.try_enqueue(queue, **fields)
        assert enqueued.is_new
        return enqueued.job_id

    async def try_enqueue(self, queue: str = QUEUE, **fields: Any) -> Enqueued:
        """Enqueue one job. Return the result."""
        return await self.engine.jobs.enqueue(*make_job(queue, **fields))

    async def enqueue_batch(
        self,
        *jobs: tuple[EnqueueRequest, bytes | None],
        callback: str | None = None,
        callback_payload: Any = None,
    ) -> tuple[list[Enqueued], str | None]:
        """Enqueue jobs, as a batch if `callback` names a queue for the callback job."""
        options = None if callback is None else {"callback_queue": callback}
        request = EnqueueBatchRequest.model_validate(
            {"jobs": [job.model_dump() for job, _ in jobs], "batch": options}
        )
        payload_of_callback = None if callback_payload is None else orjson.dumps(callback_payload)
        return await self.engine.jobs.enqueue_batch(
            request, [payload for _, payload in jobs], payload_of_callback
        )

    # Workers

    def fetching(
        self,
        *queues: str,
        count: int = 1,
        wait: float = 0,
        worker: str = "worker-1",
        lease: float | None = None,
        fenced: bool | None = None,
    ) -> "asyncio.Task[list[LeasedJob]]":
        """Start a fetch and return its task. `wait` and `lease` are in seconds."""
        request = FetchBatchRequest.model_validate(
            {
                "queues": list(queues or (QUEUE,)),
                "worker_id": worker,
                "hostname": "host-1",
                "timeout": wait,
                "lease_duration": lease,
                "count": count,
                "fenced": fenced,
            }
        )
        return asyncio.ensure_future(self.engine.attempts.fetch(request, count))

    async def waiting(self, *queues: str, **options: Any) -> "asyncio.Task[list[LeasedJob]]":
        """Start a long poll of queues without eligible jobs. Return once it waits."""
        before = self.engine.notifier.waiting
        task = self.fetching(*queues, wait=60, **options)
        await until(lambda: self.engine.notifier.waiting == before + 1)
        await self.settle()
        assert not task.done()
        return task

    async def fetch(self, *queues: str, **options: Any) -> list[LeasedJob]:
        """Fetch up to `count` jobs without waiting."""
        return await self.fetching(*queues, **options)

    async def fetch_one(self, *queues: str, **options: Any) -> LeasedJob:
        """Fetch the next job, which must exist."""
        (job,) = await self.fetch(*queues, **options)
        return job

    async def fetch_ids(self, *queues: str, **options: Any) -> list[str]:
        """Fetch without waiting. Return the ids of the jobs in their order."""
        options.setdefault("count", 512)
        return [job.head.id for job in await self.fetch(*queues, **options)]

    async def start(self, **fields: Any) -> LeasedJob:
        """Enqueue a job in a queue of its own and fetch it."""
        lease = fields.pop("lease", None)
        worker = fields.pop("worker", "worker-1")
        queue = fields.pop("queue", QUEUE)
        fenced = fields.pop("fenced", None)
        await self.enqueue(queue, **fields)
        return await self.fetch_one(queue, lease=lease, worker=worker, fenced=fenced)

    async def ack(self, job: LeasedJob, *, token: str | None = OWN, result: Any = None) -> Outcome:
        """Complete a job."""
        kept = None if result is None else orjson.dumps(result).decode()
        (outcome,) = await self.engine.attempts.ack([Ack(job.head.id, _token(job, token), kept)])
        return outcome

    async def fail(
        self,
        job: LeasedJob,
        error: str = "boom",
        *,
        token: str | None = OWN,
        backtrace: str | None = None,
        retry: bool = True,
        cancel: bool = False,
    ) -> Outcome:
        """Fail an attempt."""
        item = Fail(job.head.id, _token(job, token), error, backtrace, retry, cancel)
        (outcome,) = await self.engine.attempts.fail([item])
        return outcome

    async def release(
        self, job: LeasedJob, *, token: str | None = OWN, delay: int = 0, checkpoint: Any = None
    ) -> Outcome:
        """Give a job back."""
        kept = None if checkpoint is None else orjson.dumps(checkpoint).decode()
        item = Release(job.head.id, _token(job, token), delay, kept)
        (outcome,) = await self.engine.attempts.release([item])
        return outcome

    async def heartbeat(
        self,
        job: LeasedJob,
        *,
        token: str | None = OWN,
        progress: Any = None,
        checkpoint: Any = None,
    ) -> Outcome:
        """Extend the lease of a job."""
        progress_text, checkpoint_text = (
            None if value is None else orjson.dumps(value).decode()
            for value in (progress, checkpoint)
        )
        item = Heartbeat(job.head.id, _token(job, token), progress_text, checkpoint_text)
        (outcome,) = await self.engine.attempts.heartbeat([item])
        return outcome

    async def bring_to(self, state: JobState, **fields: Any) -> str:
        """Create a job in `state`. Return its id."""
        if state is JobState.SCHEDULED:
            return await self.enqueue(at=self.clock.now + 3_600_000, **fields)
        if state is JobState.PENDING:
            return await self.enqueue(**fields)
        if state is JobState.CANCELLED:
            job_id = await self.enqueue(**fields)
            await self.engine.jobs.cancel(job_id)
            return job_id
        job = await self.start(**fields)
        if state is JobState.COMPLETED:
            await self.ack(job, result="done")
        elif state is JobState.RETRYING:
            await self.fail(job)
        elif state is JobState.DEAD:
            await self.fail(job, retry=False)
        assert await self.state(job) is state
        return job.head.id

    # Maintenance

    async def tick(self, ms: int = 0) -> dict[str, int]:
        """Let `ms` pass, then promote, reclaim and expire jobs. Return the number of each."""
        self.clock.forward(ms)
        maintenance = self.engine.maintenance
        return {
            "promoted": await _drain(maintenance.promote),
            "reclaimed": await _drain(maintenance.reclaim),
            "expired": await _drain(maintenance.expire),
        }

    async def prune(self, ms: int = 0) -> int:
        """Let `ms` pass, then prune all old rows. Return their number."""
        self.clock.forward(ms)
        return await _drain(self.engine.maintenance.prune)

    async def settle(self) -> None:
        """Return once all submitted writes are answered and all waiting fetches have seen them."""
        lines = self.engine.notifier._waiters
        await until(
            lambda: (
                self.store.backlog == 0
                and all(waiter.is_idle for line in lines.values() for waiter in line.values())
            )
        )

    # Reads

    async def job(self, job: LeasedJob | str) -> JobRecord:
        """Return a job with all its fields. It must exist."""
        record = await self.store.find_job(_id(job))
        assert record is not None
        return record

    async def head(self, job: LeasedJob | str) -> JobHead:
        """Return the head of a job."""
        return (await self.job(job)).head

    async def state(self, job: LeasedJob | str) -> JobState:
        """Return the state of a job."""
        return (await self.head(job)).state

    async def errors(self, job: LeasedJob | str) -> list[str]:
        """Return the errors of a job, oldest first."""
        return [failure.error for failure in (await self.job(job)).failures]

    async def events(self, job: LeasedJob | str) -> list[EventType]:
        """Return the event types of a job, oldest first."""
        return [event.type for event in (await self.job(job)).events]

    async def last_event(self, job: LeasedJob | str) -> tuple[EventType, dict[str, Any]]:
        """Return the type and data of the newest event of a job."""
        event = (await self.job(job)).events[-1]
        return event.type, orjson.loads(event.data or "{}")

    async def queue(self, name: str = QUEUE) -> QueueRecord:
        """Return a queue, which must exist."""
        record = await self.store.find_queue(name)
        assert record is not None
        return record

    async def batch(self, batch_id: str | None) -> BatchRecord:
        """Return a batch, which must exist."""
        record = await self.store.find_batch(str(batch_id))
        assert record is not None
        return record

    async def check_counters(self) -> None:
        """Assert that all counters equal a recount, and that caches agree with the database."""
        await self.settle()
        self.kit.check_memory(self.store)
        counted = {
            queue.name: {
                state: jobs for state in COUNTED_STATES if (jobs := getattr(queue, state.value))
            }
            for queue in await self.store.list_queues()
        }
        assert {name: states for name, states in counted.items() if states} == self.kit.count_jobs()


def is_done(outcome: Outcome) -> bool:
    """Return whether a call had its effect, now or at an earlier repeat."""
    return isinstance(outcome, Change | Unchanged)


async def turns() -> None:
    """Let every started call run until it waits for the store."""
    for _ in range(5):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Run the event loop until `condition` is true. Fail after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "waited in vain"
        await asyncio.sleep(0.0005)


async def _drain(work: Callable[[], Any]) -> int:
    done = 0
    while chunk := await work():
        done += chunk
    return done


def _token(job: LeasedJob, token: str | None) -> str | None:
    return job.head.lease_token if token is OWN else token


def _id(job: LeasedJob | str) -> str:
    return job if isinstance(job, str) else job.head.id
