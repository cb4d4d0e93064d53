"""`corvo-server check` finds no problem after a long random history of all verbs.

CORVO_HISTORY_OPERATIONS and CORVO_HISTORY_SEED make it longer, or the same again.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable

from corvo_schema import BulkRequest, ScheduleRequest
from corvo_schema.states import Priority
from corvo_server.engine.errors import CallError
from corvo_server.services.bulk import BulkRunner
from corvo_server.store.records import LeasedJob
from server_support.bench import Bench, make_job

OPERATIONS = int(os.environ.get("CORVO_HISTORY_OPERATIONS", "2500"))
SEED = int(os.environ.get("CORVO_HISTORY_SEED", "1"))

QUEUES = ("mail", "reports", "exports")
KEYS = (None, None, "a", "b", "c")
AT_A_TIME = 12


class History:
    """Random calls by producers, workers, operators and the server itself."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = bench
        self.engine = bench.engine
        self.chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.jobs: list[str] = []
        self.leased: list[LeasedJob] = []
        self.done: Counter[str] = Counter()
        self.verbs: list[tuple[int, Callable[[], Awaitable[object]]]] = [
            (30, self.enqueue),
            (4, self.enqueue_batch),
            (30, self.fetch),
            (22, self.ack),
            (10, self.fail),
            (6, self.release),
            (8, self.heartbeat),
            (6, self.steer),
            (2, self.steer_queue),
            (2, self.bulk),
            (1, self.schedule),
        ]

    async def step(self) -> None:
        """Make a few calls at the same time, so that they share commits. Then let time pass."""
        weights, verbs = zip(*self.verbs, strict=True)
        chosen = self.chance.choices(verbs, weights, k=AT_A_TIME)
        await asyncio.gather(*(self.call(verb) for verb in chosen))
        if self.chance.random() < 0.5:
            await self.bench.tick(self.chance.choice((1, 100, 5_000, 61_000)))
            await self.engine.schedules.run_due()
            self.engine.maintenance.open_queues()
        if self.chance.random() < 0.05:
            await self.bench.prune(self.chance.choice((0, 86_400_000)))

    async def call(self, verb: Callable[[], Awaitable[object]]) -> None:
        """Make one random call. A refusal is a valid result."""
        try:
            await verb()
        except CallError as error:
            self.done[f"{verb.__name__}: {error.code}"] += 1
        else:
            self.done[verb.__name__] += 1

    def job(self) -> str:
        """Return the id of any job that was ever enqueued."""
        return self.chance.choice(self.jobs) if self.jobs else "job_nowhere"

    def options(self) -> dict[str, object]:
        """Return random fields of an enqueue."""
        chance = self.chance
        return {
            "priority": chance.choice(list(Priority)).label,
            "max_retries": chance.randint(0, 3),
            "retry_base_delay": chance.choice(("0s", "5s")),
            "unique_key": chance.choice(KEYS),
            "unique_period": chance.choice((1, 3600)),
            "on_conflict": chance.choice(("ignore", "replace", "reschedule", "error")),
            "delay": chance.choice((None, None, 5)),
            "expire_after": chance.choice((None, None, "10s")),
            "concurrency_key": chance.choice(KEYS),
            "tags": {"tenant": chance.choice("xyz")},
        }

    async def enqueue(self) -> None:
        answer = await self.bench.try_enqueue(self.chance.choice(QUEUES), **self.options())
        self.jobs.append(answer.job_id)

    async def enqueue_batch(self) -> None:
        jobs = [
            make_job(self.chance.choice(QUEUES), **self.options())
            for _ in range(self.chance.randint(1, 4))
        ]
        answers, _ = await self.bench.enqueue_batch(*jobs, callback="callbacks")
        self.jobs += [answer.job_id for answer in answers]

    async def fetch(self) -> None:
        queues = self.chance.sample((*QUEUES, "callbacks"), self.chance.randint(1, 3))
        self.leased += await self.bench.fetch(*queues, count=self.chance.randint(1, 5))

    def take(self) -> LeasedJob | None:
        """Return a fetched job. Sometimes keep it, so that a later report uses an old token."""
        if not self.leased:
            return None
        i = self.chance.randrange(len(self.leased))
        return self.leased[i] if self.chance.random() < 0.1 else self.leased.pop(i)

    async def ack(self) -> None:
        if job := self.take():
            await self.bench.ack(job, result="done")

    async def fail(self) -> None:
        if job := self.take():
            await self.bench.fail(job, retry=self.chance.random() < 0.8)

    async def release(self) -> None:
        if job := self.take():
            await self.bench.release(job, delay=self.chance.choice((0, 1000)))

    async def heartbeat(self) -> None:
        if self.leased:
            await self.bench.heartbeat(self.chance.choice(self.leased))

    async def steer(self) -> None:
        jobs = self.engine.jobs
        job, chance = self.job(), self.chance
        await chance.choice(
            (
                lambda: jobs.cancel(job),
                lambda: jobs.retry(job),
                lambda: jobs.requeue(job),
                lambda: jobs.delete(job),
                lambda: jobs.move(job, chance.choice(QUEUES)),
                lambda: jobs.change_priority(job, chance.choice(list(Priority))),
            )
        )()

    async def steer_queue(self) -> None:
        queues, chance = self.engine.queues, self.chance
        queue = chance.choice(QUEUES)
        await chance.choice(
            (
                lambda: queues.pause(queue),
                lambda: queues.resume(queue),
                lambda: queues.resume(queue),
                lambda: queues.drain(queue),
                lambda: queues.clear(queue),
                lambda: queues.delete(queue),
                lambda: queues.limit(queue, chance.choice((None, 3))),
                lambda: queues.limit_keys(queue, chance.choice((None, 1))),
                lambda: queues.throttle(queue, *chance.choice(((None, None), (3, 1000)))),
            )
        )()

    async def bulk(self) -> None:
        chance = self.chance
        request = {
            "action": chance.choice(
                ("retry", "delete", "cancel", "move", "requeue", "change_priority")
            ),
            "move_to_queue": chance.choice(QUEUES),
            "priority": chance.choice(list(Priority)).label,
            "filter": {
                "tags": {"tenant": chance.choice("xyz")},
                "attempt_min": chance.randint(0, 2),
            },
            "async": chance.random() < 0.5,
        }
        await self.engine.bulk.run(BulkRequest.model_validate(request))
        await BulkRunner(self.engine.bulk).run_once()

    async def schedule(self) -> None:
        request = ScheduleRequest.model_validate(
            {"name": self.chance.choice("abc"), "queue": "mail", "cron": "* * * * *"}
        )
        await self.engine.schedules.put(request, None)


async def test_check_finds_nothing_after_a_random_history(bench: Bench) -> None:
    print(f"{OPERATIONS} operations, seed {SEED}")
    history = History(bench, SEED)
    while history.done.total() < OPERATIONS:
        await history.step()
    print(dict(history.done))
    assert bench.kit.find_problems() == []
