import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from corvo_client._backoff import Backoff
from corvo_client.worker._api import HeldJob
from corvo_client.worker._fetcher import Fetcher
from corvo_client.worker._leases import Lease
from corvo_client.worker._slots import Slots

MakeJob = Callable[..., HeldJob]


class FakeResults:
    """As many outcomes as a test says, until it says that they are gone."""

    def __init__(self) -> None:
        self.unsent = 0
        self.gone = asyncio.Event()

    def __len__(self) -> int:
        return self.unsent

    async def drained(self) -> None:
        await self.gone.wait()
        self.unsent = 0


class Worked:
    """What a fetcher did with the jobs."""

    def __init__(self) -> None:
        self.started: list[HeldJob] = []
        self.given_back: list[HeldJob] = []
        self.has_given_back = asyncio.Event()

    def start(self, lease: Lease) -> None:
        self.started.append(lease.job)

    def give_back(self, leases: Sequence[Lease]) -> None:
        self.given_back.extend(lease.job for lease in leases)
        if leases:
            self.has_given_back.set()


@pytest.fixture
async def worked() -> Worked:
    return Worked()


@pytest.fixture
async def slots(worked: Worked, clock: Any) -> Slots:
    return Slots(4, worked.start, clock)


@pytest.fixture
async def results() -> FakeResults:
    return FakeResults()


@pytest.fixture
async def fetcher(
    server: Any, slots: Slots, results: FakeResults, worked: Worked, clock: Any
) -> Fetcher:
    return Fetcher(
        api=server,
        slots=slots,
        results=results,  # type: ignore[arg-type]
        hold=lambda job: Lease(job, clock(), lambda: None),
        give_back=worked.give_back,
        backoff=Backoff(base=0.0),
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
async def test_it_asks_for_as_many_jobs_as_there_are_free_slots(
    server: Any, slots: Slots, worked: Worked, make_job: MakeJob
) -> None:
    server.add(make_job(), make_job(), make_job())
    await server.seen(lambda: len(server.fetches) == 2)
    server.add(*(make_job() for _ in range(5)))
    await settle()
    assert server.fetches == [4, 1]
    assert len(worked.started) == 4
    slots.give_back()
    slots.give_back()
    await settle()
    assert server.fetches == [4, 1, 2]
    assert len(worked.started) == 6


async def test_it_asks_for_no_more_than_a_request_may_have(
    server: Any, fetcher: Fetcher, slots: Slots
) -> None:
    slots.size = 2000
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: server.fetches)
    assert server.fetches == [512]
    await fetcher.stop(task)


@pytest.mark.usefixtures("loop")
async def test_it_waits_while_outcomes_pile_up(
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


async def test_it_comes_back_for_ever(
    server: Any,
    worked: Worked,
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
    await server.seen(lambda: worked.started)
    assert fetcher.last_poll == clock()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[:-1] == ["cannot fetch jobs, trying on: connection refused"] * 3
    assert lines[-1] == "the server answers again"
    await fetcher.stop(task)


async def test_stop_gives_up_a_fetch_that_brings_nothing(
    server: Any, fetcher: Fetcher, worked: Worked
) -> None:
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: server.fetches)
    await fetcher.stop(task)
    assert task.cancelled()
    assert worked.started == worked.given_back == []


async def test_jobs_that_arrive_after_the_stop_are_given_back(
    server: Any,
    fetcher: Fetcher,
    worked: Worked,
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
    assert worked.given_back == [job]
    assert worked.started == []


async def test_stop_does_not_wait_for_slots_or_retries(
    server: Any, fetcher: Fetcher, slots: Slots
) -> None:
    slots.taken = 4
    task = asyncio.create_task(fetcher.run())
    await settle()
    await fetcher.stop(task)
    assert task.cancelled()
    assert server.fetches == []


async def test_short_jobs_are_fetched_before_their_slots_are_free(
    server: Any, fetcher: Fetcher, slots: Slots, worked: Worked, clock: Any, make_job: MakeJob
) -> None:
    """Every fetch takes 10 ms by the clock here, and every job 1 ms."""
    waits: list[bool] = []
    held: list[int] = []
    fetch = server.fetch

    async def slow_fetch(count: int, *, wait: bool) -> list[HeldJob]:
        clock.forward(0.01)
        waits.append(wait)
        return await fetch(count, wait=wait)

    def start_and_end(lease: Lease) -> None:
        worked.start(lease)
        held.append(slots.waiting)
        asyncio.get_running_loop().call_soon(end)

    def end() -> None:
        clock.forward(0.001)
        slots.give_back()

    server.fetch, slots._start = slow_fetch, start_and_end
    server.add(*(make_job() for _ in range(150)))
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: len(worked.started) == 150)
    await settle()
    # The first answer tells that jobs are short, if only of four. The last is not full, so that is
    # the end of it.
    assert server.fetches[:2] == [4, 4 + 32]
    assert waits[0]
    assert set(waits[1:-1]) == {False}
    assert waits[-1]
    assert max(held) > 30
    await fetcher.stop(task)


async def test_long_jobs_are_fetched_for_free_slots_alone(
    server: Any, fetcher: Fetcher, slots: Slots, worked: Worked, clock: Any, make_job: MakeJob
) -> None:
    server.add(*(make_job() for _ in range(20)))
    task = asyncio.create_task(fetcher.run())
    await settle()
    for _ in range(16):
        clock.forward(1.0)
        slots.give_back()
        await settle()
        assert slots.waiting == 0
    assert server.fetches == [4] + [1] * 16
    await fetcher.stop(task)


async def test_jobs_for_which_no_slot_comes_free_are_given_back(
    server: Any,
    fetcher: Fetcher,
    slots: Slots,
    worked: Worked,
    clock: Any,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("corvo_client.worker._fetcher._PATIENCE", 0.001)
    jobs = [make_job() for _ in range(6)]
    server.add(*jobs)

    async def greedy_fetch(count: int, *, wait: bool) -> list[HeldJob]:
        return await fetch(count + 2, wait=wait)

    fetch, server.fetch = server.fetch, greedy_fetch
    task = asyncio.create_task(fetcher.run())
    await server.seen(lambda: server.fetches)
    await settle()
    assert worked.started == jobs[:4]
    assert worked.given_back == []
    clock.forward(0.001)
    await asyncio.wait_for(worked.has_given_back.wait(), 10)
    assert worked.given_back == jobs[4:]
    assert slots.waiting == 0
    await fetcher.stop(task)


async def test_stop_gives_back_what_waits_for_a_slot(
    server: Any, fetcher: Fetcher, slots: Slots, worked: Worked, make_lease: Any
) -> None:
    slots.taken = 4
    lease = make_lease()
    slots.put(lease)
    task = asyncio.create_task(fetcher.run())
    await settle()
    assert server.fetches == []
    await fetcher.stop(task)
    assert worked.given_back == [lease.job]
