"""Lease tokens: a worker without the lease cannot ack, fail, extend or release the job."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.engine.attempts import Ack
from corvo_server.engine.engine import Policy
from corvo_server.store.records import Change, LeasedJob, Refusal
from server_support.bench import LEASE_MS, Bench, is_done

VERBS = ["ack", "fail", "release", "heartbeat"]

Lose = Callable[[Bench, LeasedJob], Awaitable[Any]]


async def _reclaim(bench: Bench, _: LeasedJob) -> None:
    await bench.tick(LEASE_MS)


async def _reclaim_and_fetch(bench: Bench, _: LeasedJob) -> None:
    await bench.tick(LEASE_MS)
    await bench.fetch_one(worker="worker-2")


async def _release(bench: Bench, job: LeasedJob) -> None:
    await bench.release(job)


async def _release_and_fetch(bench: Bench, job: LeasedJob) -> None:
    await bench.release(job)
    await bench.fetch_one()


async def _fail_and_fetch(bench: Bench, job: LeasedJob) -> None:
    await bench.fail(job)
    await bench.tick(3_600_000)
    await bench.fetch_one()


async def _ack_and_retry(bench: Bench, job: LeasedJob) -> None:
    await bench.ack(job)
    await bench.engine.jobs.retry(job.head.id)


async def _ack_and_retry_and_fetch(bench: Bench, job: LeasedJob) -> None:
    await _ack_and_retry(bench, job)
    await bench.fetch_one()


async def _reclaim_to_death(bench: Bench, _: LeasedJob) -> None:
    for _ in range(3):
        await bench.tick(LEASE_MS)
        await bench.fetch()


LOSSES = [
    _reclaim,
    _reclaim_and_fetch,
    _release,
    _release_and_fetch,
    _fail_and_fetch,
    _ack_and_retry,
    _ack_and_retry_and_fetch,
    _reclaim_to_death,
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__[1:])
async def test_old_token_changes_nothing(bench: Bench, lose: Lose, verb: str) -> None:
    job = await bench.start()
    await lose(bench, job)
    before = await bench.job(job)
    outcome = await getattr(bench, verb)(job)
    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.state) == (ErrorCode.LEASE_LOST, before.head.state)
    assert job.head.id in outcome.message
    assert await bench.job(job) == before


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("token", ["nonsense", "", "0000000000000000"])
async def test_wrong_token_changes_nothing(bench: Bench, verb: str, token: str) -> None:
    job = await bench.start()
    before = await bench.job(job)
    outcome = await getattr(bench, verb)(job, token=token)
    assert isinstance(outcome, Refusal)
    assert outcome.code is ErrorCode.LEASE_LOST
    assert await bench.job(job) == before


@pytest.mark.parametrize("verb", VERBS)
async def test_token_of_another_job_changes_nothing(bench: Bench, verb: str) -> None:
    job, other = await bench.start(), await bench.start()
    before = await bench.job(job), await bench.job(other)
    outcome = await getattr(bench, verb)(job, token=other.head.lease_token)
    assert isinstance(outcome, Refusal)
    assert outcome.code is ErrorCode.LEASE_LOST
    assert (await bench.job(job), await bench.job(other)) == before


@pytest.mark.parametrize("verb", VERBS)
async def test_call_without_token_is_accepted_while_the_job_is_active(
    bench: Bench, verb: str
) -> None:
    job = await bench.start()
    assert is_done(await getattr(bench, verb)(job, token=None))


@pytest.mark.parametrize("verb", VERBS)
async def test_call_without_token_on_a_fenced_attempt_changes_nothing(
    bench: Bench, verb: str
) -> None:
    job = await bench.start(fenced=True)
    before = await bench.job(job)
    outcome = await getattr(bench, verb)(job, token=None)
    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.state) == (ErrorCode.LEASE_LOST, JobState.ACTIVE)
    assert job.head.id in outcome.message
    assert await bench.job(job) == before
    assert is_done(await getattr(bench, verb)(job))


@pytest.mark.parametrize("verb", VERBS)
async def test_call_without_token_of_an_earlier_worker_does_not_meet_a_fenced_attempt(
    bench: Bench, verb: str
) -> None:
    job = await bench.start()
    await bench.tick(LEASE_MS)
    again = await bench.fetch_one(worker="worker-2", fenced=True)
    outcome = await getattr(bench, verb)(job, token=None)
    assert isinstance(outcome, Refusal)
    assert outcome.code is ErrorCode.LEASE_LOST
    assert isinstance(await bench.ack(again, result="of the holder"), Change)
    assert (await bench.job(job)).result == '"of the holder"'


async def test_attempt_is_fenced_after_a_restart(bench: Bench) -> None:
    fenced, plain = await bench.start(fenced=True), await bench.start()
    await bench.restart()
    outcome = await bench.ack(fenced, token=None)
    assert isinstance(outcome, Refusal)
    assert outcome.code is ErrorCode.LEASE_LOST
    assert is_done(await bench.ack(fenced))
    assert is_done(await bench.ack(plain, token=None))


async def test_fence_ends_with_its_attempt(bench: Bench) -> None:
    job = await bench.start(fenced=True)
    await bench.release(job)
    refused = await bench.ack(job, token=None)
    assert isinstance(refused, Refusal)
    assert refused.code is ErrorCode.INVALID_STATE
    await bench.fetch_one()
    assert is_done(await bench.ack(job, token=None))


async def test_jobs_of_one_fenced_fetch_each_have_their_token(bench: Bench) -> None:
    for _ in range(20):
        await bench.enqueue()
    jobs = await bench.fetch(count=20, fenced=True)
    assert len({job.head.lease_token for job in jobs}) == 20
    for job in jobs:
        assert (await bench.head(job)).lease_token == job.head.lease_token
        assert isinstance(await bench.ack(job, token=None), Refusal)
        assert isinstance(await bench.ack(job), Change)


async def test_operators_end_fenced_attempts_without_a_token(bench: Bench) -> None:
    job = await bench.start(fenced=True)
    assert (await bench.engine.jobs.cancel(job.head.id)).is_cancel_requested
    await bench.tick(LEASE_MS)
    assert await bench.state(job) is JobState.CANCELLED


@pytest.mark.parametrize("verb", VERBS)
async def test_required_tokens_fence_every_fetch_that_does_not_say_otherwise(
    bench: Bench, verb: str
) -> None:
    bench.policy = Policy(require_lease_tokens=True)
    await bench.restart()
    outcome = await getattr(bench, verb)(await bench.start(), token=None)
    assert isinstance(outcome, Refusal)
    assert outcome.code is ErrorCode.LEASE_LOST
    assert is_done(
        await getattr(bench, verb)(await bench.start(queue="other", fenced=False), token=None)
    )


async def test_lease_that_has_ended_is_valid_until_it_is_reclaimed(bench: Bench) -> None:
    job = await bench.start()
    bench.clock.forward(LEASE_MS + 1)
    assert is_done(await bench.heartbeat(job))
    assert (await bench.tick())["reclaimed"] == 0
    assert is_done(await bench.ack(job))


async def test_every_fetch_returns_a_new_token(bench: Bench) -> None:
    job = await bench.start()
    tokens = {job.head.lease_token}
    for _ in range(5):
        await bench.release(job)
        job = await bench.fetch_one()
        tokens.add(job.head.lease_token)
    assert len(tokens) == 6


async def test_refused_item_does_not_affect_the_others(bench: Bench) -> None:
    jobs = [await bench.start() for _ in range(3)]
    await bench.ack(jobs[1])
    outcomes = await bench.engine.attempts.ack(
        [
            Ack(jobs[0].head.id, jobs[0].head.lease_token, None),
            Ack("job_none", None, None),
            Ack(jobs[1].head.id, "wrong", None),
            Ack(jobs[2].head.id, jobs[2].head.lease_token, None),
        ]
    )
    assert [is_done(outcome) for outcome in outcomes] == [True, False, False, True]
    assert await bench.state(jobs[2]) is JobState.COMPLETED
