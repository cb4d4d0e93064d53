"""The methods of both clients for producers and for single jobs, against a real server."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel

from corvo_client import (
    AsyncClient,
    Backoff,
    BatchOptions,
    EnqueueRequest,
    InvalidState,
    JobState,
    NotFound,
    Priority,
    calls,
    new_job_id,
)
from support.api_client import new_name


class Mail(BaseModel):
    to: str
    at: datetime


@dataclass
class Point:
    x: int
    y: float


async def test_every_option_of_an_enqueue_is_stored(client: AsyncClient, queue: str) -> None:
    job_id = new_job_id()
    reply = await client.enqueue(
        queue,
        {"n": 10**30},
        job_id=job_id,
        priority="high",
        unique_key="k",
        unique_period=60,
        max_retries=7,
        retry_backoff=Backoff.LINEAR,
        retry_base_delay=timedelta(seconds=2),
        retry_max_delay="1m",
        scheduled_at=datetime(2999, 1, 1, tzinfo=UTC),
        expire_after="1000d",
        tags={"tenant": "a"},
    )
    assert (reply.job_id, reply.status, reply.unique_existing) == (job_id, "scheduled", False)
    job = await client.get_job(job_id)
    assert job.queue == queue
    assert job.payload == {"n": 10**30}
    assert job.state is JobState.SCHEDULED
    assert job.priority is Priority.HIGH
    assert job.unique_key == "k"
    assert job.max_retries == 7
    assert job.retry_backoff is Backoff.LINEAR
    assert (job.retry_base_delay_ms, job.retry_max_delay_ms) == (2_000, 60_000)
    assert job.scheduled_at == datetime(2999, 1, 1, tzinfo=UTC)
    assert job.expire_at == job.created_at + timedelta(days=1000)
    assert job.tags == {"tenant": "a"}
    assert [event.type for event in job.timeline] == ["enqueued"]
    again = await client.enqueue(queue, unique_key="k")
    assert (again.job_id, again.unique_existing) == (job_id, True)


async def test_a_delay_schedules_the_job(client: AsyncClient, queue: str) -> None:
    reply = await client.enqueue(queue, delay=3600)
    job = await client.get_job(reply.job_id)
    assert job.state is JobState.SCHEDULED
    assert job.scheduled_at is not None
    waits = job.scheduled_at - job.created_at
    assert timedelta(minutes=59) < waits < timedelta(minutes=61)


@pytest.mark.parametrize(
    ("payload", "stored"),
    [
        (None, None),
        (7, 7),
        ("größe 😀", "größe 😀"),
        ([1, {"a": None}], [1, {"a": None}]),
        (
            Mail(to="ada", at=datetime(2026, 1, 2, tzinfo=UTC)),
            {"to": "ada", "at": "2026-01-02T00:00:00Z"},
        ),
        (Point(1, 2.5), {"x": 1, "y": 2.5}),
        ({"when": datetime(2026, 1, 2, tzinfo=UTC)}, {"when": "2026-01-02T00:00:00Z"}),
    ],
)
async def test_payloads_of_all_kinds_are_stored(
    client: AsyncClient, queue: str, payload: object, stored: object
) -> None:
    reply = await client.enqueue(queue, payload)
    assert (await client.get_job(reply.job_id)).payload == stored
    fetched = await client.fetch([queue], worker_id="w", timeout=0)
    assert fetched is not None
    assert fetched.payload == stored


async def test_an_enqueue_without_a_payload_stores_an_empty_object(
    client: AsyncClient, queue: str
) -> None:
    reply = await client.enqueue(queue)
    assert (await client.get_job(reply.job_id)).payload == {}


async def test_a_batch_is_enqueued_and_followed_to_its_callback(
    client: AsyncClient, queue: str
) -> None:
    done = new_name()
    reply = await client.enqueue_batch(
        [
            {"queue": queue, "payload": 1, "priority": "critical"},
            EnqueueRequest(queue=queue, payload=2, max_retries=1),
        ],
        batch=BatchOptions(callback_queue=done, callback_payload={"a": 1}),
    )
    assert len(reply.job_ids) == 2
    assert [result.status for result in reply.results] == ["pending", "pending"]
    assert reply.batch_id is not None
    batch = await client.get_batch(reply.batch_id)
    assert (batch.total, batch.pending, batch.state) == (2, 2, "running")
    for job in await client.fetch_batch([queue], worker_id="w", count=2, timeout=0):
        await client.ack(job)
    batch = await client.get_batch(reply.batch_id)
    assert (batch.succeeded, batch.state) == (2, "finished")
    page = await client.list_batches("finished", limit=1000)
    assert batch in page.batches
    callback = await client.fetch([done], worker_id="w", timeout=0)
    assert callback is not None
    assert callback.payload["succeeded"] == 2
    assert callback.payload["payload"] == {"a": 1}
    with pytest.raises(NotFound):
        await client.get_batch("batch_01ARZ3NDEKTSV4RRFFQ69G5FAV")


async def test_many_jobs_are_got_at_once(client: AsyncClient, queue: str) -> None:
    ids = [(await client.enqueue(queue, i)).job_id for i in range(3)]
    jobs = await client.bulk_get([ids[2], "job_01ARZ3NDEKTSV4RRFFQ69G5FAV", ids[0]])
    assert [job.payload for job in jobs] == [2, 0]


async def test_a_job_is_cancelled_and_run_again(client: AsyncClient, queue: str) -> None:
    job_id = (await client.enqueue(queue)).job_id
    assert (await client.cancel_job(job_id)).status == "cancelled"
    with pytest.raises(InvalidState, match="cancelled"):
        await client.cancel_job(job_id)
    assert (await client.retry_job(job_id)).status == "retried"
    with pytest.raises(InvalidState, match="pending"):
        await client.retry_job(job_id)
    await client.fetch([queue], worker_id="w", timeout=0)
    assert (await client.cancel_job(job_id)).status == "cancelling"
    assert (await client.get_job(job_id)).cancel_requested


async def test_a_dead_job_gets_one_more_attempt(client: AsyncClient, queue: str) -> None:
    job_id = (await client.enqueue(queue, max_retries=1)).job_id
    job = await client.fetch([queue], worker_id="w", timeout=0)
    assert job is not None
    await client.fail(job, "no")
    assert (await client.requeue_job(job_id)).status == "requeued"
    again = await client.fetch([queue], worker_id="w", timeout=0)
    assert again is not None
    assert (again.job_id, again.attempt) == (job_id, 2)


async def test_a_waiting_job_is_moved_prioritized_and_deleted(
    client: AsyncClient, queue: str
) -> None:
    other = new_name()
    first = (await client.enqueue(other)).job_id
    job_id = (await client.enqueue(queue)).job_id
    assert (await client.move_job(job_id, other)).status == "moved"
    assert (await client.change_priority(job_id, "critical")).status == "ok"
    job = await client.get_job(job_id)
    assert (job.queue, job.priority) == (other, Priority.CRITICAL)
    assert (await client.delete_job(job_id)).status == "deleted"
    with pytest.raises(NotFound, match=job_id):
        await client.get_job(job_id)
    fetched = await client.fetch([other], worker_id="w", timeout=0)
    assert fetched is not None
    assert fetched.job_id == first


async def test_a_prepared_request_enqueues_one_job_when_repeated(
    client: AsyncClient, queue: str
) -> None:
    request = calls.enqueue_request(queue, [1], {"priority": "high", "job_id": new_job_id()})
    first = await client.enqueue_request(request)
    again = await client.enqueue_request(request)
    assert first.job_id == again.job_id == request.job_id
    assert (await client.get_queue(queue)).enqueued == 1
    job = await client.get_job(first.job_id)
    assert (job.payload, job.priority) == ([1], Priority.HIGH)


async def test_a_call_can_be_sent_as_a_value(client: AsyncClient, queue: str) -> None:
    job_id = (await client.enqueue(queue, {"b": 1, "a": 2})).job_id
    assert (await client.send(calls.get_job(job_id))).id == job_id
    exact = await client.send(calls.exact(calls.get_job(job_id)))
    assert exact.value.id == job_id
    assert b'"payload":{"b":1,"a":2}' in exact.body
