"""Repeated calls: a client that lost the reply can send a call again without a second effect."""

import asyncio
from typing import Any

import pytest

from corvo_schema import new_job_id
from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.engine.errors import CallError
from corvo_server.store.records import Change, Enqueued, Refusal, Unchanged
from server_support.bench import LEASE_MS, QUEUE, Bench, make_job, turns


async def test_enqueue_with_a_known_id_stores_nothing(bench: Bench) -> None:
    job_id = new_job_id()
    first = await bench.try_enqueue(job_id=job_id, payload=1)
    before = await bench.job(job_id)
    again = await bench.try_enqueue(job_id=job_id, payload=1)
    assert (first.job_id, first.status, first.is_new) == (job_id, "pending", True)
    assert (again.job_id, again.status, again.is_new, again.is_duplicate) == (
        job_id,
        "pending",
        False,
        False,
    )
    assert await bench.job(job_id) == before
    assert (await bench.queue()).enqueued == 1


DIFFERENCES = {
    "queue": ({"queue": "other", "payload": 1}, ["other"]),
    "payload": ({"queue": QUEUE, "payload": 2}, ["payload"]),
    "no payload": ({"queue": QUEUE}, ["payload"]),
    "both": ({"queue": "other", "payload": 2}, ["other", "payload"]),
}
"""Enqueues that differ from a job of `QUEUE` with the payload 1, and the words of the refusal."""


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("name", DIFFERENCES)
async def test_enqueue_of_another_job_with_a_known_id_is_refused(
    bench: Bench, state: JobState, name: str
) -> None:
    fields, words = DIFFERENCES[name]
    job_id = await bench.bring_to(state, job_id=new_job_id(), payload=1)
    before = await bench.job(job_id)
    with pytest.raises(CallError) as caught:
        await bench.try_enqueue(job_id=job_id, **fields)
    assert caught.value.code is ErrorCode.INVALID_STATE
    message = str(caught.value)
    assert all(word in message for word in (job_id, state.value, QUEUE, *words)), message
    assert ("payload" in message) == ("payload" in words)
    assert await bench.job(job_id) == before
    assert (await bench.queue()).enqueued == 1


async def test_batch_with_another_job_of_a_known_id_is_refused_whole(bench: Bench) -> None:
    known = await bench.enqueue(job_id=new_job_id(), payload=1)
    with pytest.raises(CallError) as caught:
        await bench.enqueue_batch(
            make_job(job_id=new_job_id()),
            make_job(job_id=known, payload=2),
            make_job(unique_key="k"),
            callback="done",
        )
    assert caught.value.code is ErrorCode.INVALID_STATE
    assert known in str(caught.value)
    assert await bench.fetch_ids() == [known]
    assert (await bench.try_enqueue(unique_key="k")).is_new


@pytest.mark.parametrize("other", [{"queue": "other"}, {"payload": 2}])
async def test_two_jobs_with_one_id_in_a_batch_are_refused(
    bench: Bench, other: dict[str, Any]
) -> None:
    job_id = new_job_id()
    with pytest.raises(CallError, match=job_id):
        await bench.enqueue_batch(make_job(job_id=job_id), make_job(job_id=job_id, **other))
    answers, _ = await bench.enqueue_batch(make_job(job_id=job_id), make_job(job_id=job_id))
    assert [answer.is_new for answer in answers] == [True, False]


async def test_two_jobs_with_one_id_in_a_commit_are_one_job_and_a_refusal(bench: Bench) -> None:
    job_id = new_job_id()
    with bench.kit.hold_commits(bench.store):
        calls = [
            asyncio.ensure_future(bench.try_enqueue(job_id=job_id, payload=payload))
            for payload in (1, 2, 1)
        ]
        await turns()
    first, other, again = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, Enqueued)
    assert isinstance(other, CallError)
    assert isinstance(again, Enqueued)
    assert (first.is_new, again.is_new) == (True, False)
    assert (await bench.job(job_id)).payload == "1"


async def test_payloads_are_compared_as_they_were_sent(bench: Bench) -> None:
    job_id = new_job_id()
    request, _ = make_job(job_id=job_id)
    sent = '{"a": "\\u0000é😀", "b":1.0}'.encode()
    assert (await bench.engine.jobs.enqueue(request, sent)).is_new
    assert not (await bench.engine.jobs.enqueue(request, sent)).is_new
    for other in (b'{"a": "\\u0000","b":1.0}', sent.replace(b"1.0", b"1"), sent + b" ", b"{}"):
        with pytest.raises(CallError, match="payload"):
            await bench.engine.jobs.enqueue(request, other)


async def test_no_payload_is_the_same_as_an_empty_object(bench: Bench) -> None:
    job_id = await bench.enqueue(job_id=new_job_id())
    assert not (await bench.try_enqueue(job_id=job_id, payload={})).is_new


@pytest.mark.parametrize("moves", [["other"], ["other", "third"], ["other", QUEUE, "third"]])
async def test_enqueue_can_be_repeated_after_a_move(bench: Bench, moves: list[str]) -> None:
    job_id = await bench.enqueue(job_id=new_job_id(), payload=1)
    for queue in moves:
        await bench.engine.jobs.move(job_id, queue)
    for queue in (QUEUE, moves[-1]):
        again = await bench.try_enqueue(queue, job_id=job_id, payload=1)
        assert (again.job_id, again.is_new) == (job_id, False)
    for queue in {"never-there", *moves} - {QUEUE, moves[-1]}:
        with pytest.raises(CallError, match=moves[-1]):
            await bench.try_enqueue(queue, job_id=job_id, payload=1)
    with pytest.raises(CallError, match="payload"):
        await bench.try_enqueue(job_id=job_id, payload=2)


async def test_repeat_after_a_move_needs_the_events_of_the_job(bench: Bench) -> None:
    job_id = await bench.enqueue(job_id=new_job_id())
    await bench.engine.jobs.move(job_id, "other")
    await bench.prune(8 * 86_400_000)
    with pytest.raises(CallError, match="in queue other"):
        await bench.try_enqueue(job_id=job_id)
    assert not (await bench.try_enqueue("other", job_id=job_id)).is_new


async def test_batch_can_be_repeated_after_its_jobs_moved(bench: Bench) -> None:
    jobs = [make_job(job_id=new_job_id(), payload=n) for n in range(3)]
    answers, _ = await bench.enqueue_batch(*jobs)
    for answer in answers[:2]:
        await bench.engine.jobs.move(answer.job_id, "other")
    again, _ = await bench.enqueue_batch(*jobs)
    assert [answer.is_new for answer in again] == [False] * 3


async def test_enqueue_can_be_repeated_after_its_job_was_replaced(bench: Bench) -> None:
    job_id = await bench.enqueue(job_id=new_job_id(), payload=1, unique_key="k")
    later = {"payload": 2, "unique_key": "k", "on_conflict": "replace", "job_id": new_job_id()}
    assert (await bench.try_enqueue(**later)).status == "replaced"
    again = await bench.try_enqueue(job_id=job_id, payload=1, unique_key="k")
    assert (again.job_id, again.is_new, again.is_duplicate) == (job_id, False, False)
    assert (await bench.try_enqueue(**later)).status == "replaced"
    assert (await bench.job(job_id)).payload == "2"


@pytest.mark.parametrize("payload", [1, 2])
async def test_enqueue_can_be_repeated_in_the_commit_that_replaces_its_job(
    bench: Bench, payload: int
) -> None:
    job_id = await bench.enqueue(job_id=new_job_id(), payload=1, unique_key="k")
    with bench.kit.hold_commits(bench.store):
        replacing = asyncio.ensure_future(
            bench.try_enqueue(payload=payload, unique_key="k", on_conflict="replace")
        )
        again = asyncio.ensure_future(bench.try_enqueue(job_id=job_id, payload=1, unique_key="k"))
        await turns()
    assert (await replacing).status == "replaced"
    assert not (await again).is_new


async def test_refused_enqueue_does_not_affect_others_in_its_commit(bench: Bench) -> None:
    known = await bench.enqueue(job_id=new_job_id())
    ids = [new_job_id(), known, new_job_id()]
    with bench.kit.hold_commits(bench.store):
        calls = [asyncio.ensure_future(bench.try_enqueue(job_id=i, payload=5)) for i in ids]
        await turns()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(answer, Enqueued) for answer in answers] == [True, False, True]


@pytest.mark.parametrize("state", JobState)
async def test_enqueue_with_a_known_id_returns_its_state(bench: Bench, state: JobState) -> None:
    job_id = await bench.bring_to(state, job_id=new_job_id())
    before = await bench.job(job_id)
    again = await bench.try_enqueue(job_id=job_id)
    assert (again.job_id, again.status, again.is_new) == (job_id, state, False)
    assert await bench.job(job_id) == before


async def test_known_id_takes_precedence_over_the_unique_key(bench: Bench) -> None:
    job_id = new_job_id()
    await bench.enqueue(job_id=job_id, unique_key="k")
    again = await bench.try_enqueue(job_id=job_id, unique_key="k")
    assert (again.status, again.is_duplicate) == ("pending", False)


@pytest.mark.parametrize("is_known", [True, False])
async def test_id_is_known_only_if_its_job_is_stored(bench: Bench, is_known: bool) -> None:
    ids = [new_job_id() for _ in range(5)]
    stored = {ids[1], ids[3]} | ({ids[2]} if is_known else set())
    await bench.enqueue_batch(*(make_job(job_id=job_id) for job_id in sorted(stored)))
    answers, _ = await bench.enqueue_batch(*(make_job(job_id=job_id) for job_id in reversed(ids)))
    assert {answer.job_id for answer in answers if not answer.is_new} == stored


async def test_id_of_a_duplicate_stays_free(bench: Bench) -> None:
    holder = await bench.enqueue(unique_key="k")
    job_id = new_job_id()
    assert (await bench.try_enqueue(job_id=job_id, unique_key="k")).job_id == holder
    assert (await bench.try_enqueue(job_id=job_id)).is_new


async def test_one_id_many_times_in_one_commit_is_one_job(bench: Bench) -> None:
    job_id = new_job_id()
    with bench.kit.hold_commits(bench.store):
        calls = [asyncio.ensure_future(bench.try_enqueue(job_id=job_id)) for _ in range(5)]
        await turns()
    results = await asyncio.gather(*calls)
    assert [result.is_new for result in results] == [True, False, False, False, False]
    assert {result.status for result in results} == {"pending"}
    assert await bench.fetch_ids() == [job_id]


async def test_batch_with_known_ids_stores_the_others(bench: Bench) -> None:
    known, new = new_job_id(), new_job_id()
    await bench.enqueue(job_id=known)
    results, _ = await bench.enqueue_batch(make_job(job_id=known), make_job(job_id=new))
    assert [(result.job_id, result.is_new) for result in results] == [(known, False), (new, True)]
    assert await bench.fetch_ids() == [known, new]


async def test_enqueue_with_the_id_of_a_pruned_job_is_new(bench: Bench) -> None:
    job_id = await bench.bring_to(JobState.COMPLETED, job_id=new_job_id())
    await bench.prune(8 * 86_400_000)
    assert (await bench.try_enqueue(job_id=job_id)).is_new


async def test_ack_with_the_same_token_is_answered_again(bench: Bench) -> None:
    job = await bench.start()
    assert isinstance(await bench.ack(job, result=1), Change)
    before = await bench.job(job)
    bench.clock.forward(5)
    assert isinstance(await bench.ack(job, result=2), Unchanged)
    assert await bench.job(job) == before
    assert (await bench.queue()).completed == 1


async def test_ack_without_token_is_not_repeatable(bench: Bench) -> None:
    job = await bench.start()
    assert isinstance(await bench.ack(job, token=None), Change)
    again = await bench.ack(job, token=None)
    assert isinstance(again, Refusal)
    assert again.code is ErrorCode.INVALID_STATE


async def test_ack_twice_in_one_commit_counts_once(bench: Bench) -> None:
    job = await bench.start()
    with bench.kit.hold_commits(bench.store):
        calls = [asyncio.ensure_future(bench.ack(job, result=n)) for n in range(3)]
        await turns()
    kinds = [type(outcome) for outcome in await asyncio.gather(*calls)]
    assert kinds == [Change, Unchanged, Unchanged]
    assert (await bench.job(job)).result == "0"


async def test_ack_after_retry_of_the_completed_job_is_refused(bench: Bench) -> None:
    job = await bench.start()
    await bench.ack(job)
    await bench.engine.jobs.retry(job.head.id)
    again = await bench.ack(job)
    assert isinstance(again, Refusal)
    assert again.code is ErrorCode.LEASE_LOST


@pytest.mark.parametrize("may_retry", [True, False])
async def test_fail_with_the_same_token_is_answered_again(bench: Bench, may_retry: bool) -> None:
    job = await bench.start()
    assert isinstance(await bench.fail(job, retry=may_retry), Change)
    before = await bench.job(job)
    bench.clock.forward(5)
    assert isinstance(await bench.fail(job, "other", retry=may_retry), Unchanged)
    assert await bench.job(job) == before
    assert (await bench.queue()).failed == 1


async def test_fail_that_cancelled_is_answered_again(bench: Bench) -> None:
    job = await bench.start()
    assert isinstance(await bench.fail(job, cancel=True), Change)
    again = await bench.fail(job, cancel=True)
    assert isinstance(again, Unchanged)
    assert again.job.state is JobState.CANCELLED


async def test_fail_after_promotion_is_answered_again(bench: Bench) -> None:
    job = await bench.start(retry_base_delay="1s")
    await bench.fail(job)
    assert (await bench.tick(2000))["promoted"] == 1
    again = await bench.fail(job)
    assert isinstance(again, Unchanged)
    assert again.job.state is JobState.PENDING
    assert len(await bench.errors(job)) == 1


async def test_fail_after_a_retry_by_hand_is_answered_again(bench: Bench) -> None:
    job = await bench.start()
    await bench.fail(job)
    await bench.engine.jobs.retry(job.head.id)
    assert isinstance(await bench.fail(job), Unchanged)
    assert len(await bench.errors(job)) == 1


async def test_fail_after_a_cancel_of_the_retrying_job_is_answered_again(bench: Bench) -> None:
    job = await bench.start()
    await bench.fail(job)
    await bench.engine.jobs.cancel(job.head.id)
    again = await bench.fail(job)
    assert isinstance(again, Unchanged)
    assert again.job.state is JobState.CANCELLED


async def test_fail_after_the_next_fetch_is_refused(bench: Bench) -> None:
    job = await bench.start(retry_backoff="none")
    await bench.fail(job)
    await bench.tick()
    again = await bench.fetch_one()
    assert again.head.lease_token != job.head.lease_token
    refused = await bench.fail(job)
    assert isinstance(refused, Refusal)
    assert refused.code is ErrorCode.LEASE_LOST
    assert await bench.state(job) is JobState.ACTIVE


async def test_ack_after_fail_with_the_same_token_is_refused(bench: Bench) -> None:
    job = await bench.start()
    await bench.fail(job)
    refused = await bench.ack(job)
    assert isinstance(refused, Refusal)
    assert refused.code is ErrorCode.INVALID_STATE
    assert await bench.state(job) is JobState.RETRYING


async def test_fail_after_ack_with_the_same_token_is_refused(bench: Bench) -> None:
    job = await bench.start()
    await bench.ack(job)
    refused = await bench.fail(job)
    assert isinstance(refused, Refusal)
    assert refused.code is ErrorCode.INVALID_STATE
    assert await bench.state(job) is JobState.COMPLETED


async def test_fail_twice_in_one_commit_counts_once(bench: Bench) -> None:
    job = await bench.start()
    with bench.kit.hold_commits(bench.store):
        calls = [asyncio.ensure_future(bench.fail(job)) for _ in range(3)]
        await turns()
    kinds = [type(outcome) for outcome in await asyncio.gather(*calls)]
    assert kinds == [Change, Unchanged, Unchanged]
    assert len(await bench.errors(job)) == 1


async def test_repeats_survive_a_restart(bench: Bench) -> None:
    acked, failed = await bench.start(), await bench.start()
    await bench.ack(acked)
    await bench.fail(failed)
    await bench.restart()
    assert isinstance(await bench.ack(acked), Unchanged)
    assert isinstance(await bench.fail(failed), Unchanged)


async def test_cancel_of_an_active_job_can_be_repeated(bench: Bench) -> None:
    job = await bench.start()
    await bench.engine.jobs.cancel(job.head.id)
    before = await bench.job(job)
    assert (await bench.engine.jobs.cancel(job.head.id)).state is JobState.ACTIVE
    assert await bench.job(job) == before


async def test_lease_end_after_a_fail_changes_nothing(
    bench: Bench,
) -> None:
    job = await bench.start(retry_base_delay="10m")
    await bench.fail(job)
    assert (await bench.tick(LEASE_MS))["reclaimed"] == 0
    assert isinstance(await bench.fail(job), Unchanged)
