"""Unique keys: at most one unfinished job of a queue holds a key."""

import asyncio

import pytest

from corvo_schema.errors import ErrorCode
from corvo_schema.states import UNFINISHED, JobState
from corvo_server.engine.errors import CallError
from server_support.bench import LEASE_MS, Bench, make_job, turns
from server_support.clock import START

HOUR = 3_600_000


async def test_second_job_of_a_key_is_a_duplicate(bench: Bench) -> None:
    job_id = await bench.enqueue(unique_key="k")
    again = await bench.try_enqueue(unique_key="k")
    assert (again.job_id, again.status) == (job_id, "duplicate")
    assert (again.is_new, again.is_duplicate) == (False, True)
    queue = await bench.queue()
    assert (queue.pending, queue.enqueued) == (1, 1)


async def test_keys_of_different_queues_are_different(bench: Bench) -> None:
    await bench.enqueue("a", unique_key="k")
    await bench.enqueue("b", unique_key="k")
    await bench.enqueue("a", unique_key="K")
    await bench.enqueue("a")
    await bench.enqueue("a")


@pytest.mark.parametrize("state", sorted(UNFINISHED))
async def test_key_is_held_in_every_unfinished_state(bench: Bench, state: JobState) -> None:
    job_id = await bench.bring_to(state, unique_key="k")
    again = await bench.try_enqueue(unique_key="k")
    assert (again.job_id, again.is_duplicate) == (job_id, True)


async def test_key_is_free_once_its_period_has_passed(bench: Bench) -> None:
    first = await bench.enqueue(unique_key="k", unique_period=10)
    bench.clock.forward(9_999)
    assert (await bench.try_enqueue(unique_key="k")).is_duplicate
    bench.clock.forward(1)
    second = await bench.enqueue(unique_key="k")
    assert await bench.fetch_ids() == [first, second]


async def test_default_period_is_an_hour(bench: Bench) -> None:
    await bench.enqueue(unique_key="k")
    bench.clock.forward(HOUR - 1)
    assert (await bench.try_enqueue(unique_key="k")).is_duplicate
    bench.clock.forward(1)
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_job_without_its_key_does_not_free_the_key_of_the_next_holder(bench: Bench) -> None:
    first = await bench.start(unique_key="k", unique_period=1)
    bench.clock.forward(1000)
    second = await bench.enqueue(unique_key="k")
    await bench.ack(first)
    again = await bench.try_enqueue(unique_key="k")
    assert (again.job_id, again.is_duplicate) == (second, True)


async def test_duplicate_does_not_extend_the_period(bench: Bench) -> None:
    await bench.enqueue(unique_key="k", unique_period=10)
    bench.clock.forward(9_000)
    assert (await bench.try_enqueue(unique_key="k", unique_period=100)).is_duplicate
    bench.clock.forward(1_000)
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_one_key_many_times_in_one_batch_is_one_job(bench: Bench) -> None:
    results, _ = await bench.enqueue_batch(
        *[make_job(unique_key="k") for _ in range(3)], make_job(unique_key="other")
    )
    assert [result.is_duplicate for result in results] == [False, True, True, False]
    assert len({result.job_id for result in results[:3]}) == 1
    assert (await bench.queue()).pending == 2


async def test_one_key_many_times_in_one_commit_is_one_job(bench: Bench) -> None:
    with bench.kit.hold_commits(bench.store):
        calls = [asyncio.ensure_future(bench.try_enqueue(unique_key="k")) for _ in range(10)]
        await turns()
    results = await asyncio.gather(*calls)
    assert sum(result.is_new for result in results) == 1
    assert len({result.job_id for result in results}) == 1
    assert await bench.fetch_ids() == [results[0].job_id]


async def test_key_whose_period_has_passed_within_one_commit_is_free(bench: Bench) -> None:
    with bench.kit.hold_commits(bench.store):
        first = asyncio.ensure_future(bench.try_enqueue(unique_key="k", unique_period="1ms"))
        await turns()
        bench.clock.forward(1)
        second = asyncio.ensure_future(bench.try_enqueue(unique_key="k"))
        await turns()
    assert (await first).is_new
    assert (await second).is_new
    assert (await bench.try_enqueue(unique_key="k")).job_id == (await second).job_id


async def test_key_is_freed_in_the_commit_that_ends_its_job(bench: Bench) -> None:
    job = await bench.start(unique_key="k")
    with bench.kit.hold_commits(bench.store):
        ended = asyncio.ensure_future(bench.ack(job))
        await turns()
    await ended
    assert bench.kit.count_rows("unique_locks") == 0
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_key_is_freed_when_the_last_lease_lapses(bench: Bench) -> None:
    await bench.start(unique_key="k", max_retries=1)
    await bench.tick(LEASE_MS)
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_key_is_freed_when_its_job_expires(bench: Bench) -> None:
    await bench.enqueue(unique_key="k", expire_after="1s")
    await bench.tick(1000)
    assert (await bench.try_enqueue(unique_key="k")).is_new


async def test_retry_takes_the_key_again_for_a_full_period(bench: Bench) -> None:
    job_id = await bench.bring_to(JobState.DEAD, unique_key="k", unique_period=10)
    bench.clock.forward(60_000)
    await bench.engine.jobs.retry(job_id)
    bench.clock.forward(9_999)
    assert (await bench.try_enqueue(unique_key="k")).job_id == job_id
    bench.clock.forward(1)
    assert (await bench.try_enqueue(unique_key="k")).is_new


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED])
async def test_retry_is_refused_while_another_job_holds_the_key(
    bench: Bench, state: JobState
) -> None:
    job_id = await bench.bring_to(state, unique_key="k")
    holder = await bench.enqueue(unique_key="k")
    before = await bench.job(job_id)
    with pytest.raises(CallError, match=holder) as caught:
        await bench.engine.jobs.retry(job_id)
    assert caught.value.code is ErrorCode.INVALID_STATE
    assert await bench.job(job_id) == before
    assert await bench.fetch_ids() == [holder]


async def test_retry_is_accepted_once_the_holder_lost_the_key(bench: Bench) -> None:
    job_id = await bench.bring_to(JobState.DEAD, unique_key="k")
    await bench.enqueue(unique_key="k", unique_period=5)
    bench.clock.forward(5_000)
    await bench.engine.jobs.retry(job_id)
    assert (await bench.try_enqueue(unique_key="k")).job_id == job_id


async def test_two_retries_of_one_key_in_one_commit_revive_one_job(bench: Bench) -> None:
    first = await bench.bring_to(JobState.DEAD, unique_key="k")
    second = await bench.bring_to(JobState.CANCELLED, unique_key="k")
    with bench.kit.hold_commits(bench.store):
        calls = [
            asyncio.ensure_future(bench.engine.jobs.retry(job_id)) for job_id in (first, second)
        ]
        await turns()
    revived, refused = await asyncio.gather(*calls, return_exceptions=True)
    assert not isinstance(revived, BaseException)
    assert isinstance(refused, CallError)
    assert await bench.fetch_ids() == [first]


async def test_retry_of_a_waiting_job_keeps_its_key_and_its_period(bench: Bench) -> None:
    job_id = await bench.enqueue(unique_key="k", unique_period=10, at=START + HOUR)
    bench.clock.forward(9_999)
    await bench.engine.jobs.retry(job_id)
    assert (await bench.try_enqueue(unique_key="k")).job_id == job_id
    bench.clock.forward(1)
    assert (await bench.try_enqueue(unique_key="k")).is_new


@pytest.mark.parametrize("key", ["ключ", "a'b\"c", "%_", "\u2028", "😀" * 100, " "])
async def test_key_may_contain_any_characters(bench: Bench, key: str) -> None:
    job_id = await bench.enqueue(unique_key=key)
    assert (await bench.try_enqueue(unique_key=key)).job_id == job_id
    assert (await bench.head(job_id)).unique_key == key


async def test_key_is_free_after_its_two_jobs_expired_together(bench: Bench) -> None:
    """The second job took the key when its period had passed, and is the first to expire."""
    first = await bench.enqueue(unique_key="k", unique_period=1, expire_after="10s")
    bench.clock.forward(2_000)
    second = await bench.enqueue(unique_key="k", unique_period=3600, expire_after="3s")
    assert (await bench.tick(60_000))["expired"] == 2
    assert await bench.enqueue(unique_key="k") not in {first, second}
    assert bench.kit.find_problems() == []
