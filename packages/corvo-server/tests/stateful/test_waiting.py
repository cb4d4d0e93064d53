"""Long polls of many queues: no fetch waits while one of its queues has an eligible job."""

import asyncio
import random
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

import pytest

from corvo_server.store.records import Commit, LeasedJob
from server_support.bench import Bench, make_job, turns

QUEUES = ["a", "b", "c"]
ROUNDS = 40


class Workers:
    """Workers that keep their jobs active until `finish`."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._tasks: list[asyncio.Task[None]] = []
        self._active: list[LeasedJob] = []
        self._may_go_on = asyncio.Event()

    def add_worker(self, luck: random.Random) -> None:
        """Start a worker that fetches from some of the queues."""
        queues = luck.sample(QUEUES, luck.choice([1, 1, 2]))
        self._tasks.append(asyncio.ensure_future(self._work(queues, luck.choice([1, 1, 2]))))

    def stop_worker(self, luck: random.Random) -> None:
        """Stop a random worker, whether it waits or not."""
        self._tasks.pop(luck.randrange(len(self._tasks))).cancel()

    async def _work(self, queues: list[str], count: int) -> None:
        while True:
            self._active += await self._bench.fetch(*queues, count=count, wait=60)
            await self._may_go_on.wait()

    async def finish(self, luck: random.Random) -> None:
        """Ack or release all active jobs, and let their workers fetch again."""
        active, self._active = self._active, []
        self._may_go_on.set()
        await turns()
        self._may_go_on.clear()
        ends = [self._bench.ack, self._bench.ack, self._bench.release]
        await asyncio.gather(*[luck.choice(ends)(job) for job in active])

    async def stop_all(self) -> None:
        """Stop all workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def bring_jobs(bench: Bench, luck: random.Random) -> None:
    """Make a few jobs pending at once: new jobs, due jobs and batches."""
    calls: list[Coroutine[Any, Any, object]] = []
    for _ in range(luck.randint(0, 5)):
        queue, priority = luck.choice(QUEUES), luck.choice(["normal", "high", "critical"])
        match luck.randint(0, 3):
            case 0:
                await bench.enqueue(queue, priority=priority, at=bench.clock.now + 1)
                bench.clock.forward(1)
                calls.append(bench.engine.maintenance.promote())
            case 1:
                jobs = [make_job(queue, priority=priority) for _ in range(luck.randint(1, 3))]
                calls.append(bench.enqueue_batch(*jobs))
            case 2:
                calls.append(bench.enqueue(queue, priority=priority, expire_after="1ms"))
                calls.append(expire(bench))
            case _:
                calls.append(bench.enqueue(queue, priority=priority))
    await in_two_commits(bench, luck, calls)


async def in_two_commits(
    bench: Bench, luck: random.Random, calls: list[Coroutine[Any, Any, object]]
) -> None:
    """Make the calls in two commits. The second also has the fetches that the first woke."""
    luck.shuffle(calls)
    middle = luck.randint(0, len(calls))
    tasks = []
    for part in (calls[:middle], calls[middle:]):
        with bench.kit.hold_commits(bench.store):
            await turns()
            tasks += [asyncio.ensure_future(call) for call in part]
            await turns()
    await asyncio.gather(*tasks)


async def expire(bench: Bench) -> None:
    bench.clock.forward(1)
    await bench.engine.maintenance.expire()


async def check_no_fetch_is_overlooked(bench: Bench, limits: dict[str, int]) -> None:
    """Assert that no queue of a waiting fetch has an eligible job."""
    await bench.settle()
    for queue in await bench.store.list_queues():
        room = limits.get(queue.name, 1000) - queue.active
        if queue.pending and room > 0 and not await only_expired(bench, queue.name):
            assert not bench.engine.notifier._waiters.get(queue.name), queue


async def only_expired(bench: Bench, queue: str) -> bool:
    """Return whether all pending jobs of the queue have expired."""
    rows = bench.kit.query(
        "SELECT count(*) FROM jobs WHERE queue = ? AND state = 1"
        " AND (expire_at IS NULL OR expire_at > ?)",
        queue,
        bench.clock.now,
    )
    return bool(rows == [(0,)])


@pytest.mark.parametrize("seed", range(8))
async def test_no_fetch_waits_while_there_is_an_eligible_job(bench: Bench, seed: int) -> None:
    luck = random.Random(seed)  # noqa: S311
    limits = {} if seed % 3 else {"a": 1, "b": 2}
    for queue, limit in limits.items():
        await bench.engine.queues.limit(queue, limit)
    workers = Workers(bench)
    for _ in range(4):
        workers.add_worker(luck)
    for _ in range(ROUNDS):
        calls = [bring_jobs(bench, luck)]
        if luck.randint(0, 1):
            calls.append(workers.finish(luck))
        if luck.randint(0, 4) == 0:
            workers.stop_worker(luck)
            workers.add_worker(luck)
        await asyncio.gather(*calls)
        await check_no_fetch_is_overlooked(bench, limits)
    await workers.stop_all()
    await bench.settle()


async def test_a_job_becomes_ready_in_the_commit_that_starts_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = [asyncio.ensure_future(bench.fetch("a", wait=60)) for _ in range(2)]
    await bench.settle()
    for seconds in (1, 2):
        await bench.enqueue("a", at=bench.clock.now + seconds * 1000)
    held = ExitStack()
    note_commit = bench.engine.notifier.note_commit

    def hold_the_next_commit(commit: Commit) -> None:
        monkeypatch.undo()
        held.enter_context(bench.kit.hold_commits(bench.store))
        note_commit(commit)

    bench.clock.forward(1000)
    monkeypatch.setattr(bench.engine.notifier, "note_commit", hold_the_next_commit)
    assert await bench.engine.maintenance.promote() == 1
    bench.clock.forward(1000)
    with held:  # the claim of the first fetch waits for this commit
        second = asyncio.ensure_future(bench.engine.maintenance.promote())
        await turns()
    assert await second == 1
    await bench.settle()
    assert [len(jobs) for jobs in await asyncio.wait_for(asyncio.gather(*fetches), 10)] == [1, 1]
