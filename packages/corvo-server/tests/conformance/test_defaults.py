"""Defaults of queues: they replace the options that the request of a job leaves out."""

import asyncio
from typing import Any

import pytest

from corvo_schema import MAX_SCHEMA_BYTES, JobOptions
from corvo_schema.errors import ErrorCode
from corvo_schema.states import Backoff, JobState, Priority
from corvo_server.engine.engine import Engine
from corvo_server.engine.errors import CallError
from corvo_server.engine.jobs import PlainJob
from server_support.bench import QUEUE, Bench, make_job

OPTIONS = {
    "priority": "high",
    "max_retries": 7,
    "retry_backoff": "fixed",
    "retry_base_delay": "2s",
    "retry_max_delay": "3s",
    "unique_period": "1m",
    "expire_after": "90s",
    "tags": {"team": "mail"},
}


async def set_defaults(bench: Bench, queue: str = QUEUE, schema: Any = None, **fields: Any) -> None:
    """Set the defaults of a queue."""
    await bench.engine.queues.set_defaults(queue, JobOptions.model_validate(fields), schema)


async def shown(bench: Bench, job_id: str) -> dict[str, Any]:
    """Return the options of a stored job."""
    record = await bench.job(job_id)
    head = record.head
    return {
        "priority": head.priority,
        "max_retries": head.max_retries,
        "backoff": head.backoff,
        "delays": (head.base_delay, head.max_delay),
        "unique_period": head.unique_period,
        "expire_after": head.expire_at and head.expire_at - head.created_at,
        "tags": record.tags,
    }


BUILT_IN = {
    "priority": Priority.NORMAL,
    "max_retries": 3,
    "backoff": Backoff.EXPONENTIAL,
    "delays": (5_000, 600_000),
    "unique_period": 3_600_000,
    "expire_after": None,
    "tags": None,
}
OF_THE_QUEUE = {
    "priority": Priority.HIGH,
    "max_retries": 7,
    "backoff": Backoff.FIXED,
    "delays": (2_000, 3_000),
    "unique_period": 60_000,
    "expire_after": 90_000,
    "tags": '{"team":"mail"}',
}


async def test_job_gets_the_defaults_of_its_queue(bench: Bench) -> None:
    await set_defaults(bench, **OPTIONS)
    assert await shown(bench, await bench.enqueue()) == OF_THE_QUEUE
    plain = await bench.engine.jobs.enqueue(PlainJob(QUEUE), None)
    assert await shown(bench, plain.job_id) == OF_THE_QUEUE
    assert await shown(bench, await bench.enqueue("other")) == BUILT_IN


async def test_options_of_a_request_win_even_if_they_equal_the_built_in_ones(bench: Bench) -> None:
    await set_defaults(bench, **OPTIONS)
    job = await bench.enqueue(max_retries=3, priority="normal", tags={}, expire_after="1h")
    assert await shown(bench, job) == {
        **OF_THE_QUEUE,
        "max_retries": 3,
        "priority": Priority.NORMAL,
        "tags": None,
        "expire_after": 3_600_000,
    }


async def test_null_leaves_an_option_out(bench: Bench) -> None:
    await set_defaults(bench, **OPTIONS)
    job = await bench.enqueue(**dict.fromkeys(OPTIONS))
    assert await shown(bench, job) == OF_THE_QUEUE


async def test_new_defaults_replace_all_earlier_ones(bench: Bench) -> None:
    await set_defaults(bench, **OPTIONS)
    await set_defaults(bench, max_retries=5)
    assert await shown(bench, await bench.enqueue()) == {**BUILT_IN, "max_retries": 5}
    await set_defaults(bench)
    assert await shown(bench, await bench.enqueue()) == BUILT_IN
    assert (await bench.queue()).defaults is None


async def test_jobs_of_a_batch_and_its_callback_get_the_defaults(bench: Bench) -> None:
    await set_defaults(bench, max_retries=7)
    await set_defaults(bench, "callbacks", max_retries=9, priority="critical")
    await bench.enqueue_batch(make_job(), make_job(max_retries=2), callback="callbacks")
    jobs = await bench.fetch(count=2)
    assert [job.head.max_retries for job in jobs] == [7, 2]
    for job in jobs:
        await bench.ack(job)
    callback = await bench.fetch_one("callbacks")
    assert (callback.head.max_retries, callback.head.priority) == (9, Priority.CRITICAL)


async def test_default_expiry_ends_a_waiting_job(bench: Bench) -> None:
    await set_defaults(bench, expire_after="1s")
    job = await bench.enqueue()
    await bench.tick(1_000)
    assert await bench.state(job) is JobState.DEAD


async def test_default_unique_period_bounds_the_key(bench: Bench) -> None:
    await set_defaults(bench, unique_period="1m")
    await bench.enqueue(unique_key="k")
    bench.clock.forward(59_999)
    assert (await bench.try_enqueue(unique_key="k")).is_duplicate
    bench.clock.forward(1)
    assert not (await bench.try_enqueue(unique_key="k")).is_duplicate


async def test_replacing_job_brings_the_defaults(bench: Bench) -> None:
    job = await bench.enqueue(unique_key="k", max_retries=2)
    await set_defaults(bench, max_retries=8, tags={"a": "b"})
    await bench.try_enqueue(unique_key="k", on_conflict="replace")
    record = await bench.job(job)
    assert (record.head.max_retries, record.tags) == (8, '{"a":"b"}')


async def test_defaults_and_enqueues_share_a_commit(bench: Bench) -> None:
    """The enqueues of a commit run first. So they get the defaults from before it."""
    await set_defaults(bench, max_retries=5)
    with bench.kit.hold_commits(bench.store):
        setting = asyncio.ensure_future(set_defaults(bench, max_retries=6))
        job = asyncio.ensure_future(bench.enqueue())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await setting
    assert (await bench.head(await job)).max_retries == 5
    assert (await bench.head(await bench.enqueue())).max_retries == 6


async def test_defaults_of_a_failed_commit_do_not_apply(bench: Bench) -> None:
    await set_defaults(bench, max_retries=5)
    with bench.kit.break_commits(bench.store), pytest.raises(Exception, match=r"\w"):
        await set_defaults(bench, max_retries=6)
    assert (await bench.head(await bench.enqueue())).max_retries == 5


async def test_defaults_survive_a_restart(bench: Bench) -> None:
    await set_defaults(bench, schema=b'{"type":"object"}', **OPTIONS)
    await bench.restart()
    assert await shown(bench, await bench.enqueue()) == OF_THE_QUEUE
    defaults = (await bench.queue()).defaults
    assert defaults is not None
    assert (defaults.options.max_retries, defaults.payload_schema) == (7, '{"type":"object"}')


async def test_setting_creates_the_queue_and_the_same_setting_changes_nothing(bench: Bench) -> None:
    await set_defaults(bench, max_retries=5)
    before = (await bench.queue()).defaults
    bench.clock.forward(1_000)
    await set_defaults(bench, max_retries=5)
    assert (await bench.queue()).defaults == before
    await set_defaults(bench, max_retries=6)
    changed = (await bench.queue()).defaults
    assert changed is not None
    assert changed.updated_at == bench.clock()


async def test_deleted_queue_loses_its_defaults(bench: Bench) -> None:
    await set_defaults(bench, max_retries=5)
    await bench.engine.queues.delete(QUEUE)
    assert (await bench.head(await bench.enqueue())).max_retries == 3


async def test_other_server_applies_the_defaults_at_once(bench: Bench) -> None:
    if not bench.store.is_shared:
        return  # SQLite has one server
    other = bench.kit.open()
    try:
        engine = Engine(other, clock=bench.clock)
        await engine.jobs.enqueue(*make_job())
        await set_defaults(bench, max_retries=5)
        enqueued = await engine.jobs.enqueue(*make_job())
        assert (await bench.head(enqueued.job_id)).max_retries == 5
    finally:
        await other.close()


async def test_large_or_deep_schema_is_refused(bench: Bench) -> None:
    large = b'{"title":"%b"}' % (b"x" * MAX_SCHEMA_BYTES)
    with pytest.raises(CallError) as refused:
        await set_defaults(bench, schema=large)
    assert (refused.value.code, refused.value.details[0][0]) == (
        ErrorCode.PAYLOAD_TOO_LARGE,
        "payload_schema",
    )
    deep = b'{"not":' * 600 + b"{}" + b"}" * 600
    with pytest.raises(CallError) as refused:
        await set_defaults(bench, schema=deep)
    assert refused.value.code is ErrorCode.VALIDATION_ERROR
