"""A disk that is too full for new jobs: they are refused, and all other calls work."""

import asyncio
from typing import Any

import pytest

from corvo_schema import new_job_id
from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.engine.errors import CallError
from corvo_server.store.protocol import StoreFull
from corvo_server.store.records import Change
from server_support.bench import Bench, is_done, make_job, turns
from server_support.calendar import Calendar
from server_support.clock import START
from server_support.http import serve

MINUTE = 60_000


@pytest.fixture
def calendar(bench: Bench) -> Calendar:
    """The schedules of `bench`."""
    return Calendar(bench)


def is_storage_full(error: object) -> bool:
    """Return whether a call failed because there is no space."""
    return isinstance(error, StoreFull) or (
        isinstance(error, CallError) and error.code is ErrorCode.STORAGE_FULL
    )


async def refused(call: Any) -> bool:
    """Return whether the call failed because there is no space."""
    (answer,) = await asyncio.gather(call, return_exceptions=True)
    return is_storage_full(answer)


async def test_new_jobs_are_refused_and_change_nothing(bench: Bench) -> None:
    await bench.enqueue()
    rows = bench.kit.count_rows("events")
    with bench.kit.fill_disk(bench.store):
        assert await refused(bench.enqueue())
        assert await refused(bench.enqueue("new", unique_key="k"))
        assert await refused(bench.enqueue_batch(make_job(), make_job(), callback="done"))
    assert bench.kit.count_rows("events") == rows
    assert bench.kit.count_rows("batches") == 0
    assert await bench.store.find_queue("new") is None
    assert (await bench.queue()).enqueued == 1
    await bench.enqueue("new", unique_key="k")


async def test_other_calls_of_the_same_commit_succeed(bench: Bench) -> None:
    job, failing, lost = [await bench.start() for _ in range(3)]
    waiting = await bench.enqueue()
    with bench.kit.fill_disk(bench.store):
        with bench.kit.hold_commits(bench.store):
            calls = [
                asyncio.ensure_future(call)
                for call in (
                    bench.enqueue(),
                    bench.engine.jobs.delete(waiting),
                    bench.ack(job, result="x" * 1000),
                    bench.fail(failing),
                    bench.enqueue("new"),
                    bench.heartbeat(lost),
                )
            ]
            await turns()
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [is_storage_full(answer) for answer in answers] == [True, *[False] * 3, True, False]
    assert not any(
        isinstance(answer, Exception) and not is_storage_full(answer) for answer in answers
    )
    assert await bench.store.find_job(waiting) is None
    assert await bench.state(job) is JobState.COMPLETED


async def test_full_disk_takes_every_call_but_new_jobs(bench: Bench) -> None:
    ids = [await bench.enqueue() for _ in range(6)]
    with bench.kit.fill_disk(bench.store):
        done, released, *_ = await bench.fetch(count=2)
        assert is_done(await bench.ack(done))
        assert is_done(await bench.release(released, checkpoint={"at": 1}))
        await bench.engine.jobs.cancel(ids[2])
        await bench.engine.jobs.retry(ids[2])
        await bench.engine.jobs.move(ids[3], "elsewhere")
        await bench.engine.queues.pause("elsewhere")
        await bench.tick()
        await bench.engine.jobs.delete(ids[0])
        await bench.engine.queues.clear("mail")
        await bench.engine.queues.delete("elsewhere")
    assert bench.kit.count_rows("jobs") == 0


async def test_repeated_enqueue_of_a_stored_job_is_answered(bench: Bench) -> None:
    job_id = new_job_id()
    await bench.enqueue(job_id=job_id, payload=1)
    await bench.enqueue("other", unique_key="k")
    with bench.kit.fill_disk(bench.store):
        again = await bench.try_enqueue(job_id=job_id, payload=1)
        duplicate = await bench.try_enqueue("other", unique_key="k")
    assert (again.job_id, again.is_new) == (job_id, False)
    assert duplicate.is_duplicate


async def test_schedule_without_space_for_its_job_stays_due(
    bench: Bench, calendar: Calendar
) -> None:
    before = await calendar.put()
    with bench.kit.fill_disk(bench.store):
        with pytest.raises(StoreFull):
            await calendar.pass_time(MINUTE)
        assert await refused(bench.engine.schedules.run(before.id))
        assert await calendar.get() == before
        await bench.engine.schedules.pause(before.id)
        await bench.engine.schedules.resume(before.id)
    assert await calendar.occurrences() == []
    assert await calendar.pass_time() == 1
    assert await calendar.occurrences() == [START + MINUTE]


@pytest.mark.sqlite
async def test_schedule_is_not_created_without_space(bench: Bench, calendar: Calendar) -> None:
    with bench.kit.fill_disk(bench.store):
        assert await refused(calendar.put())
    assert await bench.store.list_schedules() == []


@pytest.mark.sqlite
async def test_jobs_take_the_space_of_deleted_ones(bench: Bench) -> None:
    ids = [await bench.enqueue(payload="x" * 5_000) for _ in range(100)]
    with bench.kit.fill_disk(bench.store):
        assert await refused(bench.enqueue(payload="x" * 5_000))
        for job_id in ids[:50]:
            await bench.engine.jobs.delete(job_id)
        stored = 0
        while not await refused(bench.enqueue(payload="x" * 5_000)):
            stored += 1
        assert 25 < stored < 60


@pytest.mark.sqlite
async def test_replacement_of_a_payload_needs_space(bench: Bench) -> None:
    await bench.enqueue(unique_key="k", payload=1)
    with bench.kit.fill_disk(bench.store):
        replacing = bench.enqueue(unique_key="k", payload="x" * 5_000, on_conflict="replace")
        assert await refused(replacing)
    ((payload,),) = bench.kit.query("SELECT payload FROM jobs")
    assert payload == "1"


@pytest.mark.sqlite
async def test_checkpoint_needs_space(bench: Bench) -> None:
    job = await bench.start()
    with bench.kit.fill_disk(bench.store):
        bench.store.watch.look()  # type: ignore[attr-defined]
        assert await refused(bench.heartbeat(job, checkpoint={"at": 1}))
        assert isinstance(await bench.heartbeat(job, progress={"current": 1}), Change)


async def test_reply_says_when_to_retry(bench: Bench) -> None:
    async with serve(bench.engine) as server:
        with bench.kit.fill_disk(bench.store):
            reply = await server.post("/enqueue", {"queue": "mail"})
    assert (reply.status, reply.json["code"]) == (503, "STORAGE_FULL")
    assert int(reply.headers["retry-after"]) >= 1
    assert "Nothing was done. Delete jobs or free space" in reply.json["error"]
