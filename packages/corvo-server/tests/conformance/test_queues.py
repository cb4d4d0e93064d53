"""Queues: pausing, and counters that always equal a recount of the jobs."""

import asyncio

import pytest

from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.engine.errors import CallError
from server_support.bench import LEASE_MS, Bench, make_job, turns
from server_support.clock import START


async def test_paused_queue_takes_jobs_but_hands_out_none(bench: Bench) -> None:
    await bench.engine.queues.pause("mail")
    job_id = await bench.enqueue()
    assert await bench.fetch_ids() == []
    queue = await bench.queue()
    assert (queue.is_paused, queue.pending) == (True, 1)
    await bench.engine.queues.resume("mail")
    assert not (await bench.queue()).is_paused
    assert await bench.fetch_ids() == [job_id]


async def test_waiting_fetch_gets_no_job_of_a_queue_that_was_paused(bench: Bench) -> None:
    waiting = await bench.waiting()
    await bench.engine.queues.pause("mail")
    job_id = await bench.enqueue()
    await bench.settle()
    assert not waiting.done()
    await bench.engine.queues.resume("mail")
    (job,) = await asyncio.wait_for(waiting, 5)
    assert job.head.id == job_id


async def test_resume_wakes_all_waiting_fetches(bench: Bench) -> None:
    await bench.engine.queues.pause("mail")
    waiting = [await bench.waiting() for _ in range(3)]
    job_ids = [await bench.enqueue() for _ in range(3)]
    await bench.settle()
    await bench.engine.queues.resume("mail")
    served = await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert [job.head.id for (job,) in served] == job_ids


async def test_pause_leaves_active_jobs_alone(bench: Bench) -> None:
    job = await bench.start()
    await bench.engine.queues.pause("mail")
    await bench.heartbeat(job)
    await bench.ack(job)
    assert await bench.state(job) is JobState.COMPLETED


async def test_paused_queue_still_promotes_and_expires_jobs(bench: Bench) -> None:
    await bench.engine.queues.pause("mail")
    due = await bench.enqueue(at=START + 1000)
    expiring = await bench.enqueue(expire_after="1s")
    assert await bench.tick(1000) == {"promoted": 1, "reclaimed": 0, "expired": 1}
    assert await bench.state(due) is JobState.PENDING
    assert await bench.state(expiring) is JobState.DEAD


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_setting_of_a_new_queue_creates_it(bench: Bench, verb: str) -> None:
    await getattr(bench.engine.queues, verb)("new")
    queue = await bench.queue("new")
    assert (queue.is_paused, queue.created_at) == (verb == "pause", START)
    assert (queue.pending, queue.enqueued, queue.oldest_pending_at) == (0, 0, None)


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_setting_can_be_repeated(bench: Bench, verb: str) -> None:
    await bench.enqueue()
    await getattr(bench.engine.queues, verb)("mail")
    before = await bench.queue()
    bench.clock.forward(10)
    await getattr(bench.engine.queues, verb)("mail")
    assert await bench.queue() == before


async def test_queues_are_listed_by_name(bench: Bench) -> None:
    for name in ("b", "a:1", "c", "a"):
        await bench.enqueue(name)
    assert [queue.name for queue in await bench.engine.queues.list()] == ["a", "a:1", "b", "c"]


async def test_unknown_queue_is_not_found(bench: Bench) -> None:
    with pytest.raises(CallError, match="nowhere") as caught:
        await bench.engine.queues.get("nowhere")
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_counters_follow_every_move(bench: Bench) -> None:
    for state in JobState:
        job_id = await bench.bring_to(state)
        assert getattr(await bench.queue(), state.value) == 1, state
        await bench.check_counters()
        if state is JobState.PENDING:
            await bench.engine.jobs.cancel(job_id)
            await bench.prune(8 * 86_400_000)
    queue = await bench.queue()
    assert queue.enqueued == len(JobState)
    assert queue.failed == 2  # one of the retrying job, one of the dead job


async def test_counters_are_right_when_all_happens_in_one_commit(bench: Bench) -> None:
    jobs = [await bench.start(queue=queue) for queue in ("a", "b") for _ in range(4)]
    with bench.kit.hold_commits(bench.store):
        calls = [
            asyncio.ensure_future(call)
            for call in (
                bench.ack(jobs[0]),
                bench.fail(jobs[1]),
                bench.fail(jobs[2], retry=False),
                bench.release(jobs[3]),
                bench.ack(jobs[4]),
                bench.ack(jobs[4]),
                bench.engine.jobs.cancel(jobs[5].head.id),
                bench.fail(jobs[5]),
                bench.heartbeat(jobs[6]),
                bench.try_enqueue("a"),
                bench.try_enqueue("c"),
                bench.fetch("a", "c", count=2),
            )
        ]
        await turns()
    await asyncio.gather(*calls)
    await bench.check_counters()
    a, b, c = [await bench.queue(name) for name in "abc"]
    assert (a.completed, a.retrying, a.dead, a.failed, a.enqueued) == (1, 1, 1, 2, 5)
    assert (b.completed, b.cancelled, b.active) == (1, 1, 2)
    assert (a.active, a.pending, c.active) == (2, 0, 0) or (a.active, a.pending, c.active) == (
        1,
        1,
        1,
    )


async def test_oldest_pending_is_reported(bench: Bench) -> None:
    assert await bench.store.find_queue("mail") is None
    await bench.enqueue()
    bench.clock.forward(100)
    await bench.enqueue(priority="critical")
    queue = await bench.queue()
    assert queue.oldest_pending_at == START
    assert bench.engine.queues.age_of_oldest(queue) == 100
    await bench.fetch(count=2)
    queue = await bench.queue()
    assert (queue.oldest_pending_at, bench.engine.queues.age_of_oldest(queue)) == (None, None)


async def test_oldest_pending_counts_a_scheduled_job_from_its_time(bench: Bench) -> None:
    await bench.enqueue(at=START + 1000)
    await bench.tick(1500)
    assert bench.engine.queues.age_of_oldest(await bench.queue()) == 500


async def test_oldest_pending_is_not_older_than_the_job(bench: Bench) -> None:
    await bench.enqueue(at=START - 86_400_000)
    bench.clock.forward(30)
    assert bench.engine.queues.age_of_oldest(await bench.queue()) == 30


async def test_age_is_never_negative(bench: Bench) -> None:
    await bench.enqueue()
    bench.clock.forward(-50)
    assert bench.engine.queues.age_of_oldest(await bench.queue()) == 0


async def test_many_queues_keep_their_counts_apart(bench: Bench) -> None:
    await bench.enqueue_batch(*[make_job(f"q{i % 50}") for i in range(500)])
    assert [queue.pending for queue in await bench.engine.queues.list()] == [10] * 50
    jobs = await bench.fetch(*[f"q{i}" for i in range(50)], count=100)
    await bench.tick(LEASE_MS)
    assert len(jobs) == 100
    assert sum(queue.pending for queue in await bench.engine.queues.list()) == 500
