import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from corvo_client._backoff import Backoff
from corvo_client.worker._api import LeasedJob, Refused
from corvo_client.worker._fetcher import Fetcher, Lane
from corvo_client.worker._leases import Lease
from corvo_client.worker._slots import Capacity, Slots

MakeJob = Callable[..., LeasedJob]


class FakeResults:
    """Replaces `Results`. A test sets the number of unreported outcomes."""

    def __init__(self) -> None:
        self.unsent = 0
        self.gone = asyncio.Event()

    def __len__(self) -> int:
        return self.unsent

    async def drained(self) -> None:
        await self.gone.wait()
        self.unsent = 0


class FakeWorker:
    """Records the jobs that were started and released."""

    def __init__(self) -> None:
        self.started: list[LeasedJob] = []
        self.released: list[LeasedJob] = []
        self.has_released = asyncio.Event()

    def start(self, lease: Lease) -> None:
        self.started.append(lease.job)

    def release(self, leases: Sequence[Lease]) -> None:
        self.released.extend(lease.job for lease in leases)
        if leases:
            self.has_released.set()


@pytest.fixture
async def fake_worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
async def slots(fake_worker: FakeWorker, clock: Any) -> Slots:
    return Slots(4, fake_worker.start, clock)


@pytest.fixture
async def results() -> FakeResults:
    return FakeResults()


@pytest.fixture
async def fetcher(
    server: Any, slots: Slots, results: FakeResults, fake_worker: FakeWorker, clock: Any
) -> Fetcher:
    return Fetcher(
        api=server,
        lanes=[Lane(["default"], slots)],
        results=results,  # type: ignore[arg-type]
        add_lease=lambda job: Lease(job, clock(), lambda: None),
        release=fake_worker.release,
        make_backoff=lambda: Backoff(base=0.0),
        clock=clock,
    )


@pytest.fixture
async def loop(fetcher: Fetcher) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(fetcher.run())
    yield task
    task.cancel()
    await asyncio.wait([task])


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("loop")
async def test_it_fetches_as_many_jobs_as_there_are_free_slots(
    server: Any, slots: Slots, fake_worker: FakeWorker, make_job: MakeJob
) -> None:
    server.add(make_job(), make_job(), make_job())
    await server.seen(lambda: len(server.fetches) == 2)
    server.add(*(make_job() for _ in range(5)))
    await settle()
    assert server.fetches == [4, 1]
    assert len(fake_worker.started) == 4
    slots.free_slot()
    slots.free_slot()
    await settle()
    assert server.fetches == [4, 1, 2]
    assert len(fake_worker.started) == 6


async def test_it_fetches_at_most_the_maximum_of_a_request(
    server: Any, fetcher: Fetcher, slots: Slots
) -> None:
    slots.size = slots._capacity.size = 2000
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: server.fetches)
    assert server.fetches == [512]
    await fetcher.stop(task)


@pytest.mark.usefixtures("loop")
async def test_it_waits_while_many_outcomes_are_unreported(
    server: Any, results: FakeResults, make_job: MakeJob
) -> None:
    await server.seen(lambda: len(server.fetches) == 1)
    results.unsent = 3000
    server.add(make_job())
    await settle()
    assert len(server.fetches) == 1
    results.gone.set()
    await settle()
    assert len(server.fetches) == 2


async def test_it_retries_without_limit(
    server: Any,
    fake_worker: FakeWorker,
    fetcher: Fetcher,
    clock: Any,
    make_job: MakeJob,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.is_down = True
    caplog.set_level("INFO")
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: len(server.fetches) == 60)
    assert fetcher.last_poll is None
    server.is_down = False
    server.add(make_job())
    await server.seen(lambda: fake_worker.started)
    assert fetcher.last_poll == clock()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[:-1] == ["cannot fetch jobs, retrying: connection refused"] * 3
    assert lines[-1] == "the server answers fetches again"
    await fetcher.stop(task)


async def test_stop_ends_a_fetch_without_answer(
    server: Any, fetcher: Fetcher, fake_worker: FakeWorker
) -> None:
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: server.fetches)
    await fetcher.stop(task)
    assert task.cancelled()
    assert fake_worker.started == fake_worker.released == []


async def test_jobs_that_arrive_after_stop_are_released(
    server: Any,
    fetcher: Fetcher,
    fake_worker: FakeWorker,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("corvo_client.worker._fetcher._LAST_FETCH_GRACE", 10.0)
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: server.fetches)
    stop = asyncio.create_task(fetcher.stop(task))
    await settle()
    job = make_job()
    server.add(job)
    await stop
    assert task.done()
    assert fake_worker.released == [job]
    assert fake_worker.started == []


async def test_stop_does_not_wait_for_slots_or_retries(
    server: Any, fetcher: Fetcher, slots: Slots
) -> None:
    slots.taken = 4
    task = asyncio.create_task(fetcher.run())
    await settle()
    await fetcher.stop(task)
    assert task.cancelled()
    assert server.fetches == []


async def test_short_jobs_are_prefetched(
    server: Any,
    fetcher: Fetcher,
    slots: Slots,
    fake_worker: FakeWorker,
    clock: Any,
    make_job: MakeJob,
) -> None:
    """Each fetch takes 10 ms of the fake clock, and each job takes 1 ms."""
    waits: list[bool] = []
    held: list[int] = []
    fetch = server.fetch

    async def slow_fetch(queues: tuple[str, ...], count: int, *, wait: bool) -> list[LeasedJob]:
        clock.forward(0.01)
        waits.append(wait)
        return await fetch(queues, count, wait=wait)

    def start_and_end(lease: Lease) -> None:
        fake_worker.start(lease)
        held.append(slots.waiting)
        asyncio.get_running_loop().call_soon(end)

    def end() -> None:
        clock.forward(0.001)
        slots.free_slot()

    server.fetch, slots._start = slow_fetch, start_and_end
    server.add(*(make_job() for _ in range(150)))
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: len(fake_worker.started) == 150)
    await settle()
    # The first answer shows that four jobs are short. The last answer is not full, so the next
    # fetch waits.
    assert server.fetches[:2] == [4, 4 + 32]
    assert waits[0]
    assert set(waits[1:-1]) == {False}
    assert waits[-1]
    assert max(held) > 30
    await fetcher.stop(task)


async def test_long_jobs_are_not_prefetched(
    server: Any,
    fetcher: Fetcher,
    slots: Slots,
    fake_worker: FakeWorker,
    clock: Any,
    make_job: MakeJob,
) -> None:
    server.add(*(make_job() for _ in range(20)))
    task = asyncio.create_task(fetcher.run())
    await settle()
    for _ in range(16):
        clock.forward(1.0)
        slots.free_slot()
        await settle()
        assert slots.waiting == 0
    assert server.fetches == [4] + [1] * 16
    await fetcher.stop(task)


async def test_prefetched_jobs_that_wait_too_long_are_released(
    server: Any,
    fetcher: Fetcher,
    slots: Slots,
    fake_worker: FakeWorker,
    clock: Any,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("corvo_client.worker._fetcher._MAX_WAIT", 0.001)
    jobs = [make_job() for _ in range(6)]
    server.add(*jobs)

    async def greedy_fetch(queues: tuple[str, ...], count: int, *, wait: bool) -> list[LeasedJob]:
        return await fetch(queues, count + 2, wait=wait)

    fetch, server.fetch = server.fetch, greedy_fetch
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: server.fetches)
    await settle()
    assert fake_worker.started == jobs[:4]
    assert fake_worker.released == []
    clock.forward(0.001)
    await asyncio.wait_for(fake_worker.has_released.wait(), 10)
    assert fake_worker.released == jobs[4:]
    assert slots.waiting == 0
    await fetcher.stop(task)


async def test_stop_releases_prefetched_jobs(
    server: Any, fetcher: Fetcher, slots: Slots, fake_worker: FakeWorker, make_lease: Any
) -> None:
    slots.taken = 4
    lease = make_lease()
    slots.put(lease)
    task = asyncio.create_task(fetcher.run())
    await settle()
    assert server.fetches == []
    await fetcher.stop(task)
    assert fake_worker.released == [lease.job]


MANY = [f"q{number}" for number in range(600)]


@pytest.fixture
async def run_fetcher(
    server: Any, results: FakeResults, fake_worker: FakeWorker, clock: Any
) -> AsyncIterator[Callable[..., Fetcher]]:
    """Run fetchers of any lanes until the test ends."""
    runs: list[tuple[Fetcher, asyncio.Task[None]]] = []

    def run(*lanes: Lane) -> Fetcher:
        fetcher = Fetcher(
            api=server,
            lanes=lanes,
            results=results,  # type: ignore[arg-type]
            add_lease=lambda job: Lease(job, clock(), lambda: None),
            release=fake_worker.release,
            make_backoff=lambda: Backoff(base=0.0),
            clock=clock,
        )
        runs.append((fetcher, asyncio.create_task(fetcher.run())))
        return fetcher

    yield run
    for fetcher, task in runs:
        await fetcher.stop(task)


async def test_queues_beyond_the_limit_of_a_fetch_are_fetched_in_groups(
    server: Any, slots: Slots, fake_worker: FakeWorker, run_fetcher: Any, make_job: MakeJob
) -> None:
    run_fetcher(Lane(MANY, slots))
    await server.seen(lambda: len(server.fetches) == 3)
    assert [len(queues) for queues in server.fetched_queues] == [200, 200, 200]
    assert {queue for queues in server.fetched_queues for queue in queues} == set(MANY)
    assert server.fetches == [1, 1, 1]
    # Each group waits in the server, so no job waits for the turn of its group.
    for queue in ("q599", "q0", "q1"):
        server.add(make_job(queue=queue))
        await server.seen(lambda: not server.jobs)
        await settle()
        assert fake_worker.started[-1].queue == queue


async def test_groups_with_many_jobs_take_turns(
    server: Any, slots: Slots, fake_worker: FakeWorker, run_fetcher: Any, make_job: MakeJob
) -> None:
    run_fetcher(Lane(MANY, slots))
    await settle()
    server.add(*(make_job(queue=f"q{group}") for group in range(3) for _ in range(40)))
    await settle()
    for _ in range(56):
        assert slots.taken == 4
        assert slots.waiting <= 2  # one that each other group was waiting for
        slots.free_slot()
        await settle()
    counts = [sum(job.queue == f"q{group}" for job in fake_worker.started) for group in range(3)]
    assert sum(counts) == 60
    assert min(counts) >= 15


async def test_no_more_process_jobs_are_fetched_than_can_run(
    server: Any, fake_worker: FakeWorker, run_fetcher: Any, clock: Any, make_job: MakeJob
) -> None:
    capacity = Capacity(4)
    others = Slots(4, fake_worker.start, clock, capacity)
    processes = Slots(2, fake_worker.start, clock, capacity)
    run_fetcher(Lane(["other"], others), Lane(["cpu"], processes))
    server.add(*(make_job(queue="cpu") for _ in range(10)))
    await settle()
    assert (processes.taken, processes.waiting, len(server.jobs)) == (2, 0, 8)
    server.add(*(make_job(queue="other") for _ in range(10)))
    await settle()
    assert (others.taken, others.waiting, len(server.jobs)) == (2, 0, 16)
    processes.free_slot()
    await settle()
    assert [job.queue for job in fake_worker.started[4:]] in (["cpu"], ["other"])
    assert capacity.taken == 4
    assert processes.waiting + others.waiting == 0


async def test_slots_that_prefetch_do_not_keep_other_slots_from_jobs(
    server: Any, fake_worker: FakeWorker, run_fetcher: Any, clock: Any, make_job: MakeJob
) -> None:
    capacity = Capacity(4)
    others = Slots(4, fake_worker.start, clock, capacity)
    processes = Slots(2, fake_worker.start, clock, capacity)
    for _ in range(8):
        others.put(Lease(make_job(queue="other"), clock(), lambda: None))
    run_fetcher(Lane(["other"], others), Lane(["cpu"], processes))
    server.add(*(make_job(queue="cpu") for _ in range(3)))
    await settle()
    assert (processes.taken, processes.waiting) == (0, 1)
    clock.forward(1.0)
    for _ in range(5):
        others.free_slot()
    await settle()
    assert processes.taken >= 1


async def test_refused_fetches_end_the_worker_unless_one_was_answered(
    server: Any, fetcher: Fetcher, slots: Slots, make_job: MakeJob, caplog: Any
) -> None:
    server.fetch_error = Refused("no such route")
    with pytest.raises(Refused, match="no such route"):
        await fetcher.run()
    assert "the server refuses the fetches of this worker: no such route" in caplog.text
    assert len(server.fetches) == 1
    server.fetch_error = None
    server.add(make_job())
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: slots.taken)
    server.fetch_error = Refused("no such route")
    slots.free_slot()
    server.add(make_job())
    await server.seen(lambda: len(server.fetches) == 20)
    server.fetch_error = None
    await server.seen(lambda: not server.jobs)
    await fetcher.stop(task)


async def test_fetches_are_retried_until_a_server_refuses_the_first(
    server: Any, fetcher: Fetcher
) -> None:
    server.is_down = True
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: len(server.fetches) == 20)
    server.fetch_error = Refused("no such route")
    with pytest.raises(Refused):
        await asyncio.wait_for(task, 10)
