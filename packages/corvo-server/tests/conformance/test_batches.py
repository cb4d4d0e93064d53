"""Batches: each job counts once, and each batch has exactly one callback."""

import asyncio
from typing import Any

import orjson
import pytest

from corvo_schema import BatchState, EnqueueBatchRequest, new_job_id
from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.engine.errors import CallError
from server_support.bench import LEASE_MS, Bench, make_job, turns
from server_support.clock import START


async def callbacks(bench: Bench) -> list[dict[str, Any]]:
    """Return the payloads of all pending callback jobs, and start these jobs."""
    jobs = await bench.fetch("callbacks", count=512)
    return [orjson.loads(job.payload) for job in jobs]


async def start_batch(bench: Bench, jobs: int, **fields: Any) -> tuple[list[str], str]:
    """Enqueue a batch of `jobs` jobs with a callback. Return the ids of the jobs and the batch."""
    results, batch_id = await bench.enqueue_batch(
        *[make_job(**fields) for _ in range(jobs)],
        callback="callbacks",
        callback_payload={"report": 7},
    )
    assert batch_id is not None
    return [result.job_id for result in results], batch_id


async def test_batch_counts_its_jobs(bench: Bench) -> None:
    job_ids, batch_id = await start_batch(bench, 3)
    batch = await bench.batch(batch_id)
    assert (batch.total, batch.succeeded, batch.failed, batch.cancelled) == (3, 0, 0, 0)
    assert (batch.created_at, batch.finished_at, batch.callback_queue) == (
        START,
        None,
        "callbacks",
    )
    assert [(await bench.head(job_id)).batch_id for job_id in job_ids] == [batch_id] * 3


async def test_callback_comes_when_the_last_job_has_ended(bench: Bench) -> None:
    _, batch_id = await start_batch(bench, 3)
    first, second, third = await bench.fetch(count=3)
    await bench.ack(first)
    await bench.fail(second, retry=False)
    assert await callbacks(bench) == []
    bench.clock.forward(50)
    await bench.engine.jobs.cancel(third.head.id)
    assert await callbacks(bench) == []
    await bench.fail(third)
    assert await callbacks(bench) == [
        {
            "batch_id": batch_id,
            "total": 3,
            "succeeded": 1,
            "failed": 1,
            "cancelled": 1,
            "payload": {"report": 7},
        }
    ]
    batch = await bench.batch(batch_id)
    assert (batch.succeeded, batch.failed, batch.cancelled) == (1, 1, 1)
    assert batch.finished_at == START + 50
    assert (await bench.head(str(batch.callback_job_id))).queue == "callbacks"


async def test_callback_wakes_a_waiting_fetch(bench: Bench) -> None:
    await start_batch(bench, 1)
    job = await bench.fetch_one()
    waiting = await bench.waiting("callbacks")
    await bench.ack(job)
    assert len(await waiting) == 1


async def end_by_ack(bench: Bench, job_id: str) -> None:
    await bench.ack(await bench.fetch_one())


async def end_by_fail(bench: Bench, job_id: str) -> None:
    await bench.fail(await bench.fetch_one(), retry=False)


async def end_by_lost_lease(bench: Bench, job_id: str) -> None:
    for _ in range(3):
        await bench.fetch_one()
        await bench.tick(LEASE_MS)


async def end_by_expiry(bench: Bench, job_id: str) -> None:
    await bench.tick(3_600_000)


async def end_active_by_expiry(bench: Bench, job_id: str) -> None:
    job = await bench.fetch_one()
    bench.clock.forward(3_600_000)
    await bench.fail(job)


async def end_by_cancel(bench: Bench, job_id: str) -> None:
    await bench.engine.jobs.cancel(job_id)


async def end_by_cancel_of_active(bench: Bench, job_id: str) -> None:
    job = await bench.fetch_one()
    await bench.engine.jobs.cancel(job_id)
    await bench.release(job)


async def end_by_handlers_cancel(bench: Bench, job_id: str) -> None:
    await bench.fail(await bench.fetch_one(), cancel=True)


ENDS = {
    end_by_ack: "succeeded",
    end_by_fail: "failed",
    end_by_lost_lease: "failed",
    end_by_expiry: "failed",
    end_active_by_expiry: "failed",
    end_by_cancel: "cancelled",
    end_by_cancel_of_active: "cancelled",
    end_by_handlers_cancel: "cancelled",
}


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_batch_ends_with_its_last_job(bench: Bench, end: Any) -> None:
    (job_id,), batch_id = await start_batch(bench, 1, expire_after="1h")
    await end(bench, job_id)
    (callback,) = await callbacks(bench)
    counts = {"succeeded": 0, "failed": 0, "cancelled": 0, ENDS[end]: 1}
    assert callback == {"batch_id": batch_id, "total": 1, "payload": {"report": 7}, **counts}


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_job_that_runs_again_does_not_count_again(bench: Bench, end: Any) -> None:
    job_ids, batch_id = await start_batch(bench, 2, expire_after="1h")
    await bench.engine.jobs.cancel(job_ids[1])
    await end(bench, job_ids[0])
    assert len(await callbacks(bench)) == 1
    before = await bench.batch(batch_id)
    for job_id in job_ids:
        await bench.engine.jobs.retry(job_id)
    for job in await bench.fetch(count=2):
        await bench.ack(job)
    assert await callbacks(bench) == []
    assert await bench.batch(batch_id) == before


async def test_job_that_runs_again_while_the_batch_runs_counts_as_it_first_ended(
    bench: Bench,
) -> None:
    job_ids, batch_id = await start_batch(bench, 2)
    first, second = await bench.fetch(count=2)
    await bench.fail(first, retry=False)
    await bench.engine.jobs.retry(job_ids[0])
    await bench.ack(await bench.fetch_one())
    batch = await bench.batch(batch_id)
    assert (batch.succeeded, batch.failed, batch.finished_at) == (0, 1, None)
    await bench.ack(second)
    assert len(await callbacks(bench)) == 1


async def test_repeated_ack_counts_once(bench: Bench) -> None:
    _, batch_id = await start_batch(bench, 2)
    first, _ = await bench.fetch(count=2)
    await bench.ack(first)
    await bench.ack(first)
    assert (await bench.batch(batch_id)).succeeded == 1
    assert await callbacks(bench) == []


async def test_jobs_that_end_in_one_commit_bring_one_callback(bench: Bench) -> None:
    await start_batch(bench, 10)
    jobs = await bench.fetch(count=10)
    with bench.kit.hold_commits(bench.store):
        calls = [asyncio.ensure_future(bench.ack(job)) for job in jobs]
        await turns()
    await asyncio.gather(*calls)
    (callback,) = await callbacks(bench)
    assert (callback["total"], callback["succeeded"]) == (10, 10)


async def test_batches_that_end_in_one_commit_bring_a_callback_each(bench: Bench) -> None:
    batch_ids = [(await start_batch(bench, 2))[1] for _ in range(3)]
    jobs = await bench.fetch(count=6)
    with bench.kit.hold_commits(bench.store):
        calls = [asyncio.ensure_future(bench.ack(job)) for job in reversed(jobs)]
        await turns()
    await asyncio.gather(*calls)
    order = [callback["batch_id"] for callback in await callbacks(bench)]
    assert order == batch_ids[::-1]  # in the order in which they ended


async def test_callback_of_a_batch_without_callback_payload_has_an_empty_one(bench: Bench) -> None:
    await bench.enqueue_batch(make_job(), callback="callbacks")
    await bench.ack(await bench.fetch_one())
    (callback,) = await callbacks(bench)
    assert callback["payload"] in ({}, None)


async def test_callback_keeps_big_numbers_and_order_of_its_payload(bench: Bench) -> None:
    text = b'{"z": 123456789012345678901234567890, "a": 1.10}'
    request, _ = make_job()
    asked = EnqueueBatchRequest.model_validate(
        {"jobs": [request.model_dump()], "batch": {"callback_queue": "callbacks"}}
    )
    await bench.engine.jobs.enqueue_batch(asked, [None], text)
    await bench.ack(await bench.fetch_one())
    (job,) = await bench.fetch("callbacks")
    assert text.decode() in job.payload


async def test_duplicates_are_no_part_of_a_batch(bench: Bench) -> None:
    holder = await bench.enqueue(unique_key="k")
    results, batch_id = await bench.enqueue_batch(
        make_job(unique_key="k"), make_job(), callback="callbacks"
    )
    assert results[0].job_id == holder
    assert (await bench.head(holder)).batch_id is None
    assert (await bench.batch(batch_id)).total == 1
    await bench.engine.jobs.cancel(results[1].job_id)
    (callback,) = await callbacks(bench)
    assert (callback["total"], callback["cancelled"]) == (1, 1)


async def test_batch_of_only_duplicates_ends_at_once(bench: Bench) -> None:
    await bench.enqueue(unique_key="k")
    waiting = await bench.waiting("callbacks")
    _, batch_id = await bench.enqueue_batch(
        make_job(unique_key="k"), make_job(unique_key="k"), callback="callbacks"
    )
    (job,) = await waiting
    assert orjson.loads(job.payload)["total"] == 0
    batch = await bench.batch(batch_id)
    assert (batch.total, batch.finished_at) == (0, START)
    assert batch.callback_job_id == job.head.id


async def test_batch_enqueue_is_all_or_nothing(bench: Bench) -> None:
    bench.engine.jobs._max_payload_bytes = 10
    with pytest.raises(CallError, match=r"jobs\[1\].payload") as caught:
        await bench.enqueue_batch(
            make_job(), make_job(payload="x" * 20), make_job(), callback="callbacks"
        )
    assert caught.value.code is ErrorCode.PAYLOAD_TOO_LARGE
    assert bench.kit.count_jobs() == {}
    assert bench.kit.count_rows("batches") == 0


async def test_callback_payload_has_the_limit_of_payloads(bench: Bench) -> None:
    bench.engine.jobs._max_payload_bytes = 10
    with pytest.raises(CallError, match="callback_payload") as caught:
        await bench.enqueue_batch(make_job(), callback="callbacks", callback_payload="x" * 20)
    assert caught.value.code is ErrorCode.PAYLOAD_TOO_LARGE
    assert bench.kit.count_jobs() == {}


async def test_repeated_batch_of_known_ids_has_no_second_effect(bench: Bench) -> None:
    jobs = [make_job(job_id=new_job_id()) for _ in range(2)]
    _, batch_id = await bench.enqueue_batch(*jobs, callback="callbacks")
    results, again = await bench.enqueue_batch(*jobs, callback="callbacks")
    assert [result.is_new for result in results] == [False, False]
    assert again == batch_id
    assert await callbacks(bench) == []
    for job in await bench.fetch(count=2):
        await bench.ack(job)
    assert len(await callbacks(bench)) == 1


async def test_unknown_batch_is_not_found(bench: Bench) -> None:
    with pytest.raises(CallError, match="no batch batch_x") as caught:
        await bench.engine.batches.get("batch_x")
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_batch_survives_a_restart(bench: Bench) -> None:
    _, batch_id = await start_batch(bench, 2)
    first, second = await bench.fetch(count=2)
    await bench.ack(first)
    await bench.restart()
    assert (await bench.batch(batch_id)).succeeded == 1
    await bench.ack(second)
    await bench.restart()
    assert len(await callbacks(bench)) == 1


async def test_pruning_a_job_leaves_its_batch_as_it_was(bench: Bench) -> None:
    job_ids, batch_id = await start_batch(bench, 2)
    await bench.engine.jobs.cancel(job_ids[0])
    await bench.prune(8 * 86_400_000)
    assert await bench.store.find_job(job_ids[0]) is None
    assert (await bench.batch(batch_id)).cancelled == 1
    await bench.ack(await bench.fetch_one())
    assert len(await callbacks(bench)) == 1
    assert await bench.state(job_ids[1]) is JobState.COMPLETED


async def test_batches_are_listed_newest_first_in_pages(bench: Bench) -> None:
    batch_ids = []
    for _ in range(5):
        _, batch_id = await bench.enqueue_batch(make_job("q"), callback="callbacks")
        batch_ids.insert(0, batch_id)
        bench.clock.forward(1)
    batches = bench.engine.batches
    first = await batches.list(None, 2, None)
    await bench.enqueue_batch(make_job("q"), callback="callbacks")  # its id is lower
    second = await batches.list(None, 2, first.cursor)
    third = await batches.list(None, 2, second.cursor)
    pages = [[record.id for record in page.batches] for page in (first, second, third)]
    assert pages == [batch_ids[:2], batch_ids[2:4], batch_ids[4:]]
    assert third.cursor is None
    assert first.batches[0] == await bench.batch(batch_ids[0])


async def test_list_can_be_limited_to_running_or_finished_batches(bench: Bench) -> None:
    made = [await bench.enqueue_batch(make_job("q"), callback="callbacks") for _ in range(3)]
    (job,), ended = made[1]
    await bench.engine.jobs.cancel(job.job_id)
    batches = bench.engine.batches
    running = await batches.list(BatchState.RUNNING, 10, None)
    assert [record.id for record in running.batches] == [made[2][1], made[0][1]]
    finished = await batches.list(BatchState.FINISHED, 10, None)
    assert [record.id for record in finished.batches] == [ended]
    page = await batches.list(BatchState.RUNNING, 1, None)
    page = await batches.list(BatchState.RUNNING, 1, page.cursor)
    assert [record.id for record in page.batches] == [made[0][1]]
    assert page.cursor is None


async def test_callbacks_of_jobs_reclaimed_together_are_in_the_order_of_the_jobs(
    bench: Bench,
) -> None:
    batches = [(await start_batch(bench, 1, queue=name))[1] for name in ("first", "second")]
    for name in ("second", "first"):
        (job,) = await bench.fetch(name)
        await bench.engine.jobs.cancel(job.head.id)
    assert (await bench.tick(LEASE_MS))["reclaimed"] == 2
    assert [callback["batch_id"] for callback in await callbacks(bench)] == batches
