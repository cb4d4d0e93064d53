"""Limits of API keys: what its jobs use is exact, and an enqueue beyond a limit stores nothing."""

import asyncio
from collections.abc import Iterator

import pytest

from corvo_schema.errors import ErrorCode
from corvo_server.auth.caller import SERVER, Caller, set_caller
from corvo_server.engine.errors import CallError
from corvo_server.store.records import Quota
from server_support.bench import Bench, make_job, until

KEY = "tenant"


def use_key(
    name: str | None = KEY, *, max_waiting: int | None = None, max_bytes: int | None = None
) -> None:
    """Make a key with limits the caller; the server itself if `name` is None."""
    if name is None:
        set_caller(SERVER)
    else:
        set_caller(Caller(name, SERVER.roles, quota=Quota(name, max_waiting, max_bytes)))


@pytest.fixture(autouse=True)
def _reset_caller() -> Iterator[None]:
    yield
    set_caller(SERVER)


async def refused(bench: Bench, code: ErrorCode = ErrorCode.OVERLOADED, **fields: object) -> str:
    """Enqueue one job, which must be refused. Return the message."""
    with pytest.raises(CallError) as caught:
        await bench.enqueue(**fields)
    assert caught.value.code is code
    return caught.value.message


def usage(bench: Bench, name: str = KEY) -> tuple[int, int]:
    """Return the waiting jobs and the bytes that are counted for a key."""
    statement = "SELECT sum(waiting), sum(bytes) FROM key_usage WHERE name = ?"
    ((waiting, stored),) = bench.kit.query(statement, name)
    return int(waiting or 0), int(stored or 0)


async def test_enqueue_beyond_the_waiting_jobs_stores_nothing(bench: Bench) -> None:
    use_key(max_waiting=3)
    await bench.enqueue()
    await bench.enqueue_batch(make_job(), make_job(at=bench.clock() + 60_000))
    with pytest.raises(CallError) as caught:
        await bench.enqueue()
    error = caught.value
    assert error.code is ErrorCode.OVERLOADED
    assert error.retry_after == 5
    assert "max_waiting: at most 3 jobs waiting for the API key 'tenant'" in error.message
    assert error.details == [
        ("max_waiting", "at most 3 jobs waiting for the API key 'tenant'; it has 3")
    ]
    assert bench.kit.count_rows("jobs") == 3
    use_key("other", max_waiting=1)
    await bench.enqueue()
    use_key(None)
    await bench.enqueue()


async def test_batch_is_refused_as_a_whole(bench: Bench) -> None:
    use_key(max_waiting=3)
    await bench.enqueue_batch(make_job(), make_job())
    with pytest.raises(CallError, match="It has 2, and this request adds 2") as got:
        await bench.enqueue_batch(make_job(), make_job(), callback="callbacks")
    assert got.value.code is ErrorCode.OVERLOADED
    assert bench.kit.count_rows("jobs") == 2
    assert bench.kit.count_rows("batches") == 0
    await bench.enqueue()
    with pytest.raises(CallError, match="this request alone adds 4") as alone:
        await bench.enqueue_batch(*[make_job() for _ in range(4)])
    assert alone.value.code is ErrorCode.PAYLOAD_TOO_LARGE


async def test_place_is_free_once_a_job_starts_and_taken_again_by_its_retry(bench: Bench) -> None:
    use_key(max_waiting=1)
    await bench.enqueue()
    await refused(bench)
    job = await bench.fetch_one()
    second = await bench.enqueue("later")
    await bench.fail(job)  # retrying: counts again, and is not refused
    assert usage(bench)[0] == 2
    await bench.engine.jobs.cancel(second)
    await refused(bench)
    await bench.engine.jobs.delete(job.head.id)
    await bench.enqueue()
    assert usage(bench)[0] == 1


async def test_bytes_count_until_the_jobs_are_deleted(bench: Bench) -> None:
    use_key(max_bytes=20)
    job_id = await bench.enqueue(payload="é" * 6)  # 14 bytes: two per letter, and the quotes
    assert usage(bench) == (1, 14)
    assert "max_bytes: at most 20 bytes of payloads" in await refused(bench, payload="12345")
    await bench.enqueue(payload="1234")
    await bench.ack(await bench.fetch_one())
    assert usage(bench) == (1, 20)
    await refused(bench)
    await bench.engine.jobs.delete(job_id)
    assert usage(bench) == (1, 6)
    await bench.enqueue()
    await refused(bench, ErrorCode.PAYLOAD_TOO_LARGE, payload="x" * 19)


async def test_replaced_payload_counts_instead_of_the_old_one(bench: Bench) -> None:
    use_key(max_bytes=20)
    await bench.enqueue(payload="12345678", unique_key="k")
    replace = {"unique_key": "k", "on_conflict": "replace"}
    await bench.try_enqueue(payload="1234567890123456", **replace)
    assert usage(bench) == (1, 18)
    with pytest.raises(CallError, match="It has 18, and this request adds 3"):
        await bench.try_enqueue(payload="1" * 19, **replace)
    assert usage(bench) == (1, 18)
    await bench.try_enqueue(payload="1", **replace)
    assert usage(bench) == (1, 3)


async def test_repeats_and_duplicates_count_once(bench: Bench) -> None:
    use_key(max_waiting=2)
    job_id = await bench.enqueue(unique_key="k", job_id="job_00000000000000000000000001")
    again = await bench.try_enqueue(unique_key="k", job_id=job_id)
    assert not again.is_new
    assert (await bench.try_enqueue(unique_key="k")).is_duplicate
    await bench.enqueue()
    await refused(bench)
    repeated = await bench.try_enqueue(unique_key="k", job_id=job_id)  # also at the limit
    assert not repeated.is_new


async def test_callbacks_of_batches_count(bench: Bench) -> None:
    use_key(max_waiting=1)
    await bench.enqueue_batch(make_job(), callback="callbacks", callback_payload="x")
    use_key(None)
    await bench.ack(await bench.fetch_one())
    waiting, stored = usage(bench)
    assert waiting == 1
    callback = await bench.fetch_one("callbacks")
    assert stored == len("{}") + len(callback.payload)
    assert usage(bench) == (0, stored)


async def test_enqueues_that_share_a_commit_share_the_limit(bench: Bench) -> None:
    use_key(max_waiting=5)
    with bench.kit.hold_commits(bench.store):
        tasks = [asyncio.ensure_future(bench.try_enqueue()) for _ in range(8)]
        await until(lambda: bench.store.backlog == 1 + len(tasks))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, CallError) for result in results) == 3
    assert bench.kit.count_rows("jobs") == 5


async def test_usage_survives_a_restart(bench: Bench) -> None:
    use_key(max_waiting=2)
    await bench.enqueue()
    await bench.restart()
    assert usage(bench)[0] == 1
    await bench.enqueue()
    await refused(bench)


async def test_jobs_of_keys_without_limits_are_not_counted(bench: Bench) -> None:
    await bench.enqueue(payload="x")
    await bench.ack(await bench.fetch_one())
    assert bench.kit.count_rows("key_usage") == 0
