"""The methods of both clients for workers, against a real server."""

from datetime import timedelta

import pytest

from corvo_client import (
    AckItem,
    AsyncClient,
    FailItem,
    FetchedJob,
    HeartbeatJob,
    JobState,
    LeaseLost,
    NotFound,
    Progress,
    ReleaseItem,
)


async def fetch(client: AsyncClient, queue: str) -> FetchedJob:
    job = await client.fetch([queue], worker_id="w", hostname="h", timeout=20, lease_duration=30)
    assert job is not None
    return job


async def test_a_fetch_without_a_job_is_none(client: AsyncClient, queue: str) -> None:
    assert await client.fetch([queue], worker_id="w", timeout=0) is None
    assert await client.fetch([queue], worker_id="w", timeout=timedelta(milliseconds=50)) is None
    assert await client.fetch_batch([queue], worker_id="w", count=5, timeout=0) == []


async def test_a_fetched_job_has_all_fields_for_its_worker(client: AsyncClient, queue: str) -> None:
    job_id = (await client.enqueue(queue, [1], tags={"a": "b"}, max_retries=4)).job_id
    job = await fetch(client, queue)
    assert job.job_id == job_id
    assert (job.queue, job.payload, job.tags) == (queue, [1], {"a": "b"})
    assert (job.attempt, job.max_retries) == (1, 4)
    assert job.lease_duration == 30_000
    stored = await client.get_job(job_id)
    assert (stored.worker_id, stored.hostname) == ("w", "h")
    assert stored.lease_expires_at == job.lease_expires_at


async def test_an_ack_stores_the_result(client: AsyncClient, queue: str) -> None:
    job_id = (await client.enqueue(queue)).job_id
    await client.ack(await fetch(client, queue), {"rows": 3})
    job = await client.get_job(job_id)
    assert (job.state, job.result) == (JobState.COMPLETED, {"rows": 3})
    with pytest.raises(NotFound):
        await client.ack("job_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    with pytest.raises(LeaseLost):
        await client.ack(job_id, lease_token="stolen")


async def test_a_failure_stores_the_text_and_backtrace_of_an_exception(
    client: AsyncClient, queue: str
) -> None:
    job_id = (await client.enqueue(queue, retry_backoff="none")).job_id
    job = await fetch(client, queue)
    with pytest.raises(ConnectionError) as caught:
        raise ConnectionError("no route")
    reply = await client.fail(job, caught.value)
    assert (reply.status, reply.attempts_remaining) == ("retrying", 2)
    assert reply.next_attempt_at is not None
    (failure,) = (await client.get_job(job_id)).errors
    assert failure.error == "ConnectionError: no route"
    assert failure.backtrace is not None
    assert "raise ConnectionError" in failure.backtrace


async def test_a_failure_can_be_final(client: AsyncClient, queue: str) -> None:
    await client.enqueue(queue)
    await client.enqueue(queue)
    assert (await client.fail(await fetch(client, queue), "x", retry=False)).status == "dead"
    assert (await client.fail(await fetch(client, queue), "x", cancel=True)).status == "cancelled"


async def test_a_released_job_is_fetched_again_with_its_checkpoint(
    client: AsyncClient, queue: str
) -> None:
    await client.enqueue(queue)
    job = await fetch(client, queue)
    reply = await client.release(job, checkpoint={"row": 5})
    assert (reply.status, reply.scheduled_at) == ("released", None)
    again = await fetch(client, queue)
    assert (again.job_id, again.attempt, again.checkpoint) == (job.job_id, 1, {"row": 5})
    assert (await client.release(again, delay=0.1)).scheduled_at is not None
    assert (await fetch(client, queue)).job_id == job.job_id


async def test_a_heartbeat_has_a_reply_for_each_job(client: AsyncClient, queue: str) -> None:
    await client.enqueue(queue)
    await client.enqueue(queue)
    first, second = [await fetch(client, queue) for _ in range(2)]
    await client.cancel_job(second.job_id)
    reply = await client.heartbeat(
        {
            first.job_id: HeartbeatJob(
                lease_token=first.lease_token,
                progress=Progress(current=1, total=2, message="half"),
                checkpoint=[1],
            ),
            second.job_id: HeartbeatJob(lease_token=second.lease_token),
            "gone": HeartbeatJob(),
        },
        worker_id="w",
    )
    replies = {job_id: (answer.status, answer.reason) for job_id, answer in reply.jobs.items()}
    assert replies == {
        first.job_id: ("ok", None),
        second.job_id: ("cancel", "cancelled"),
        "gone": ("cancel", "not_found"),
    }
    job = await client.get_job(first.job_id)
    assert job.progress == Progress(current=1, total=2, message="half")
    assert job.checkpoint == [1]


async def test_outcomes_are_reported_in_batches(client: AsyncClient, queue: str) -> None:
    await client.enqueue_batch([{"queue": queue, "payload": i} for i in range(6)])
    jobs = await client.fetch_batch([queue], worker_id="w", count=6, timeout=0)
    leases = [{"job_id": job.job_id, "lease_token": job.lease_token} for job in jobs]
    leases[1]["lease_token"] = "stolen"

    acked = await client.ack_batch([AckItem.model_validate(item) for item in leases[:2]])
    assert acked.acked == 1
    assert [(r.status, r.code) for r in acked.results] == [("ok", None), ("error", "LEASE_LOST")]

    failed = await client.fail_batch(
        [
            FailItem.model_validate({**leases[2], "error": "x", "retry": False}),
            FailItem.model_validate({**leases[3], "error": "x"}),
        ]
    )
    assert failed.failed == 2
    assert [result.status for result in failed.results] == ["dead", "retrying"]

    released = await client.release_batch(
        [
            ReleaseItem.model_validate(leases[4]),
            ReleaseItem.model_validate({**leases[5], "delay": "1h"}),
        ]
    )
    assert released.released == 2
    states = [job.state for job in await client.bulk_get([job.job_id for job in jobs])]
    assert states == ["completed", "active", "dead", "retrying", "pending", "scheduled"]
