"""Waiting fetches: which are woken, in which order, and jobs claimed for disconnected clients."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from corvo_server.engine.notifier import Notifier, Waiter
from corvo_server.store.protocol import StoreOverloaded, StoreUnavailable
from server_support.bench import turns
from server_support.clock import forward_loop

Jobs = list[Any]


def job(queue: str = "a", name: str = "job") -> Any:
    """Return a claimed job with the fields that the notifier reads."""
    return SimpleNamespace(head=SimpleNamespace(queue=queue, id=name))


class Fetch:
    """A fetch whose claims the test answers."""

    def __init__(self, notifier: Notifier, *queues: str, timeout: float = 60) -> None:
        self.claims: list[asyncio.Future[Jobs]] = []
        self.refuse: Exception | None = None
        self.waiter: Waiter = notifier.wait(queues, self._claim)
        self.task = asyncio.ensure_future(self.waiter.jobs(timeout))

    def _claim(self) -> "asyncio.Future[Jobs]":
        if self.refuse is not None:
            raise self.refuse
        claim: asyncio.Future[Jobs] = asyncio.get_running_loop().create_future()
        self.claims.append(claim)
        return claim

    async def answer(self, *jobs: Any) -> None:
        """Answer the claim that is under way with `jobs`."""
        assert not self.claims[-1].done()
        self.claims[-1].set_result(list(jobs))
        await turns()


@pytest.fixture
def returned() -> Jobs:
    """The jobs that were given back."""
    return []


@pytest.fixture
def notifier(returned: Jobs) -> Notifier:
    return Notifier(returned.extend)


async def idle(notifier: Notifier, *queues: str, wait: float = 60) -> Fetch:
    """Return a fetch whose first claim found no job."""
    fetch = Fetch(notifier, *(queues or ("a",)), timeout=wait)
    await fetch.answer()
    assert not fetch.task.done()
    return fetch


async def test_fetch_claims_at_once(notifier: Notifier) -> None:
    fetch = Fetch(notifier, "a")
    await fetch.answer(job())
    assert await fetch.task == [job()]
    assert notifier.waiting == 0


async def test_fetch_without_a_job_waits_without_another_claim(notifier: Notifier) -> None:
    fetch = await idle(notifier)
    await turns()
    assert len(fetch.claims) == 1
    assert notifier.waiting == 1
    fetch.task.cancel()


async def test_wake_reaches_the_longest_waiting_fetch(notifier: Notifier) -> None:
    first, second, third = [await idle(notifier) for _ in range(3)]
    notifier.wake("a", 1)
    assert [len(fetch.claims) for fetch in (first, second, third)] == [2, 1, 1]
    await first.answer(job())
    notifier.wake("a", 1)
    assert [len(fetch.claims) for fetch in (first, second, third)] == [2, 2, 1]
    await second.answer(job())
    third.task.cancel()


async def test_wake_for_several_jobs_reaches_as_many_fetches(notifier: Notifier) -> None:
    fetches = [await idle(notifier) for _ in range(4)]
    notifier.wake("a", 3)
    assert [len(fetch.claims) for fetch in fetches] == [2, 2, 2, 1]
    for fetch in fetches:
        fetch.task.cancel()


async def test_fetch_with_a_claim_under_way_is_passed_over(notifier: Notifier) -> None:
    first, second = [await idle(notifier) for _ in range(2)]
    notifier.wake("a", 1)
    notifier.wake("a", 1)
    assert [len(fetch.claims) for fetch in (first, second)] == [2, 2]
    for fetch in (first, second):
        await fetch.answer(job())


async def test_wake_of_another_queue_wakes_no_fetch(notifier: Notifier) -> None:
    fetch = await idle(notifier, "a", "b")
    notifier.wake("c", 5)
    notifier.open("c")
    assert len(fetch.claims) == 1
    notifier.wake("b", 1)
    assert len(fetch.claims) == 2
    fetch.task.cancel()


async def test_queue_named_twice_counts_once(notifier: Notifier) -> None:
    fetch = await idle(notifier, "a", "a")
    assert notifier.waiting == 1
    notifier.wake("a", 2)
    assert len(fetch.claims) == 2
    fetch.task.cancel()


async def test_wake_during_a_claim_is_not_lost(notifier: Notifier) -> None:
    fetch = Fetch(notifier, "a")
    notifier.wake("a", 1)  # for a job that the claim under way no longer sees
    assert len(fetch.claims) == 1
    await fetch.answer()
    assert len(fetch.claims) == 2
    await fetch.answer(job())
    assert await fetch.task == [job()]


async def test_open_wakes_all_fetches(notifier: Notifier) -> None:
    fetches = [await idle(notifier, "a", "b") for _ in range(3)]
    notifier.open("b")
    assert [len(fetch.claims) for fetch in fetches] == [2, 2, 2]
    for fetch in fetches:
        fetch.task.cancel()


async def test_wake_is_passed_on_if_the_claim_got_a_job_of_another_queue(
    notifier: Notifier,
) -> None:
    first = await idle(notifier, "a", "b")
    second = await idle(notifier, "a")
    notifier.wake("a", 1)
    await first.answer(job("b"))  # the claim found the job of b; the job of a remains
    assert len(second.claims) == 2
    await second.answer(job("a"))
    assert await second.task == [job("a")]


async def test_used_wake_is_not_passed_on(notifier: Notifier) -> None:
    first = await idle(notifier, "a", "b")
    second = await idle(notifier, "a")
    notifier.wake("a", 1)
    await first.answer(job("b"), job("a"))
    assert len(second.claims) == 1
    second.task.cancel()


async def test_fetch_ends_without_a_job_after_its_timeout(notifier: Notifier) -> None:
    fetch = await idle(notifier, wait=60)
    forward_loop(60)
    assert await fetch.task == []
    assert notifier.waiting == 0


async def test_fetch_without_a_timeout_ends_with_its_claim(notifier: Notifier) -> None:
    fetch = Fetch(notifier, "a", timeout=0)
    await turns()
    assert not fetch.task.done()
    await fetch.answer()
    assert await fetch.task == []
    assert notifier.waiting == 0


async def test_timeout_during_a_claim_waits_for_its_jobs(notifier: Notifier) -> None:
    fetch = Fetch(notifier, "a", timeout=0)
    await turns()
    await fetch.answer(job())
    assert await fetch.task == [job()]


async def test_fetch_that_timed_out_is_not_woken(notifier: Notifier) -> None:
    first, second = [await idle(notifier) for _ in range(2)]
    first.waiter.stop()
    notifier.wake("a", 1)
    assert [len(fetch.claims) for fetch in (first, second)] == [1, 2]
    assert await first.task == []
    second.task.cancel()


async def test_cancelled_fetch_is_not_woken(notifier: Notifier) -> None:
    first, second = [await idle(notifier) for _ in range(2)]
    first.task.cancel()
    await turns()
    assert notifier.waiting == 1
    notifier.wake("a", 1)
    assert [len(fetch.claims) for fetch in (first, second)] == [1, 2]
    second.task.cancel()


async def test_fetch_is_not_woken_while_it_is_being_cancelled(
    notifier: Notifier, returned: Jobs
) -> None:
    first, second = [await idle(notifier) for _ in range(2)]
    first.task.cancel()
    notifier.wake("a", 1)
    await turns()
    assert first.task.cancelled()
    assert [len(fetch.claims) for fetch in (first, second)] == [1, 2]
    assert returned == []
    second.task.cancel()


async def test_served_fetch_is_not_woken_again(notifier: Notifier) -> None:
    first, second = [await idle(notifier) for _ in range(2)]
    notifier.wake("a", 1)
    first.claims[-1].set_result([job()])
    await asyncio.sleep(0)
    assert not first.task.done()
    notifier.wake("a", 1)
    assert [len(fetch.claims) for fetch in (first, second)] == [2, 2]
    await second.answer(job())


async def test_wake_of_a_cancelled_fetch_is_passed_on(notifier: Notifier, returned: Jobs) -> None:
    first = await idle(notifier, "a", "b")
    second = await idle(notifier, "a")
    notifier.wake("a", 1)
    first.task.cancel()
    await turns()
    await first.answer(job("b"))
    assert returned == [job("b")]
    assert len(second.claims) == 2
    second.task.cancel()


async def test_jobs_are_given_back_if_the_fetch_is_cancelled_during_the_claim(
    notifier: Notifier, returned: Jobs
) -> None:
    fetch = Fetch(notifier, "a")
    await turns()
    fetch.task.cancel()
    await turns()
    assert fetch.task.cancelled()
    assert returned == []
    await fetch.answer(job("a", "1"), job("a", "2"))
    assert returned == [job("a", "1"), job("a", "2")]


async def test_jobs_are_given_back_if_the_fetch_is_cancelled_as_they_arrive(
    notifier: Notifier, returned: Jobs
) -> None:
    fetch = Fetch(notifier, "a")
    await turns()
    fetch.claims[-1].set_result([job()])
    await asyncio.sleep(0)  # the jobs have reached the waiter, but its task has not resumed
    assert not fetch.task.done()
    fetch.task.cancel()
    await turns()
    assert fetch.task.cancelled()
    assert returned == [job()]


async def test_fetch_cancelled_as_its_claim_fails_is_cancelled(
    notifier: Notifier, returned: Jobs
) -> None:
    fetch = Fetch(notifier, "a")
    await turns()
    fetch.claims[-1].set_exception(StoreUnavailable("no disk"))
    await asyncio.sleep(0)
    assert not fetch.task.done()
    fetch.task.cancel()
    await turns()
    assert fetch.task.cancelled()
    assert returned == []


async def test_failed_claim_of_a_cancelled_fetch_is_ignored(
    notifier: Notifier, returned: Jobs
) -> None:
    fetch = Fetch(notifier, "a")
    await turns()
    fetch.task.cancel()
    await turns()
    fetch.claims[-1].set_exception(StoreUnavailable("no disk"))
    await turns()
    assert returned == []


async def test_failed_claim_fails_the_fetch(notifier: Notifier) -> None:
    fetch = await idle(notifier)
    notifier.wake("a", 1)
    fetch.claims[-1].set_exception(StoreUnavailable("no disk"))
    with pytest.raises(StoreUnavailable, match="no disk"):
        await fetch.task
    assert notifier.waiting == 0


async def test_refused_first_claim_fails_the_fetch(notifier: Notifier) -> None:
    def refuse() -> "asyncio.Future[Jobs]":
        raise StoreOverloaded("3 writes are waiting")

    waiter = notifier.wait(["a"], refuse)
    with pytest.raises(StoreOverloaded, match="3 writes"):
        await waiter.jobs(60)
    assert notifier.waiting == 0


async def test_refused_later_claim_fails_the_fetch_and_not_the_caller_of_wake(
    notifier: Notifier,
) -> None:
    fetch = await idle(notifier)
    fetch.refuse = StoreOverloaded("3 writes are waiting")
    notifier.wake("a", 1)
    with pytest.raises(StoreOverloaded, match="3 writes"):
        await fetch.task


async def test_close_ends_all_fetches_without_a_job(notifier: Notifier) -> None:
    fetches = [await idle(notifier, "a", "b"), await idle(notifier, "b")]
    notifier.close()
    assert [await fetch.task for fetch in fetches] == [[], []]
    assert notifier.waiting == 0


async def test_close_waits_for_claims_under_way(notifier: Notifier) -> None:
    fetch = Fetch(notifier, "a")
    await turns()
    notifier.close()
    await turns()
    assert not fetch.task.done()
    await fetch.answer(job())
    assert await fetch.task == [job()]


async def test_fetch_after_the_close_does_not_wait(notifier: Notifier) -> None:
    notifier.close()
    fetch = Fetch(notifier, "a")
    await fetch.answer()
    assert await fetch.task == []


async def test_ended_fetches_are_forgotten(notifier: Notifier) -> None:
    for i in range(50):
        fetch = Fetch(notifier, f"q{i}", "a")
        await fetch.answer(job(f"q{i}"))
        await fetch.task
    assert dict(notifier._waiters) == {}


async def test_queue_opens_at_its_time(notifier: Notifier) -> None:
    fetch, other = await idle(notifier), await idle(notifier, "b")
    notifier.open_at("a", 1000)
    notifier.open_at("b", 500)
    notifier.open_at("without a fetch", 100)
    assert notifier.next_opening() == 500
    assert notifier.open_due(499) == 0
    assert notifier.open_due(999) == 1
    assert (notifier.next_opening(), len(fetch.claims)) == (1000, 1)
    assert notifier.open_due(1000) == 1
    assert (notifier.next_opening(), len(fetch.claims)) == (None, 2)
    notifier.open_at("a", 2000)
    other.task.cancel()
    fetch.task.cancel()
