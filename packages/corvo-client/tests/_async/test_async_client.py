"""Arguments of client methods, and headers of requests."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from corvo_client import (
    AckItem,
    AsyncClient,
    BatchOptions,
    EnqueueRequest,
    FetchedJob,
    JobState,
    LeaseLost,
    Priority,
    ValidationFailed,
)

JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
NOW = "2026-01-31T08:00:00.000Z"
JOB = {"id": JOB_ID, "queue": "q", "state": "dead", "created_at": NOW}
FETCHED = {
    "job_id": JOB_ID,
    "queue": "q",
    "payload": {"n": 1},
    "attempt": 1,
    "max_retries": 3,
    "lease_duration": 60,
    "checkpoint": None,
    "tags": {},
    "lease_token": "token",
}
held = FetchedJob.model_validate(FETCHED)


@pytest.fixture
async def client(server: Any) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=httpx.MockTransport(server)) as client:
        yield client


async def test_every_request_has_the_required_headers(server: Any) -> None:
    server.answer(201, {"job_id": JOB_ID, "status": "pending"})
    server.answer(200, {"status": "cancelled"})
    server.answer(200, JOB)
    url = "https://corvo.example:8443/queue/"
    async with AsyncClient(
        url, api_key=" key\n", headers={"X-Team": "a"}, transport=httpx.MockTransport(server)
    ) as client:
        assert repr(client) == f"{type(client).__name__}('https://corvo.example:8443/queue')"
        await client.enqueue("q")
        await client.cancel_job(JOB_ID)
        await client.get_job(JOB_ID)
    first, second, third = server.requests
    assert str(first.url) == "https://corvo.example:8443/queue/api/v1/enqueue"
    assert first.headers["Host"] == "corvo.example:8443"
    assert first.headers["Authorization"] == "Bearer key"
    assert first.headers["X-Team"] == "a"
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Content-Length"] == str(len(first.content))
    assert first.headers["User-Agent"].startswith("corvo-client/")
    assert second.headers["Content-Length"] == "0"
    assert "Content-Type" not in second.headers
    assert "Content-Length" not in third.headers


async def test_settings_come_from_the_environment(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORVO_SERVER", "http://corvo.example")
    monkeypatch.setenv("CORVO_API_KEY", "secret")
    server.answer(200, JOB)
    async with AsyncClient(transport=httpx.MockTransport(server)) as client:
        await client.get_job(JOB_ID)
    [request] = server.requests
    assert request.url.host == "corvo.example"
    assert request.headers["Authorization"] == "Bearer secret"


async def test_enqueue_sends_the_given_options(client: AsyncClient, server: Any) -> None:
    server.answer(200, {"job_id": JOB_ID, "status": "duplicate", "unique_existing": True})
    reply = await client.enqueue(
        "q",
        {"at": datetime(2026, 1, 31, tzinfo=UTC), "none": None, "big": 2**70},
        priority="high",
        unique_key="k",
        unique_period=90,
        max_retries=5,
        retry_backoff="linear",
        retry_base_delay="1m",
        retry_max_delay=timedelta(hours=2),
        scheduled_at=datetime(2026, 1, 31, 8, tzinfo=UTC),
        expire_after="7d",
        tags={"a": "b"},
        job_id=JOB_ID,
    )
    assert (reply.job_id, reply.status, reply.unique_existing) == (JOB_ID, "duplicate", True)
    assert server.bodies == [
        {
            "queue": "q",
            "payload": {"at": "2026-01-31T00:00:00Z", "none": None, "big": 2**70},
            "priority": "high",
            "unique_key": "k",
            "unique_period": 90,
            "max_retries": 5,
            "retry_backoff": "linear",
            "retry_base_delay": "1m",
            "retry_max_delay": "2h",
            "scheduled_at": NOW,
            "expire_after": "7d",
            "tags": {"a": "b"},
            "job_id": JOB_ID,
        }
    ]


async def test_enqueue_sends_a_job_id_and_no_defaults(client: AsyncClient, server: Any) -> None:
    server.answer(201, {"job_id": JOB_ID, "status": "pending"})
    server.answer(201, {"job_id": JOB_ID, "status": "pending"})
    await client.enqueue("q", unique_key=None, tags=None)
    await client.enqueue("q", None)
    assert [sorted(body) for body in server.bodies] == [
        ["job_id", "queue"],
        ["job_id", "payload", "queue"],
    ]
    assert server.bodies[1]["payload"] is None


@pytest.mark.parametrize("delay", [90, 90.0, "1m30s", timedelta(seconds=90)])
async def test_enqueue_sends_a_delay_as_a_delay(
    client: AsyncClient, server: Any, delay: Any
) -> None:
    server.answer(201, {"job_id": JOB_ID, "status": "scheduled"})
    await client.enqueue("q", delay=delay)
    assert server.bodies[0]["delay"] == 90
    assert "scheduled_at" not in server.bodies[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queue": "no spaces"}, r"queue: must be 1 to 255 characters"),
        ({"queue": "q", "max_retries": -1}, r"max_retries: .* greater than or equal to 0"),
        ({"queue": "q", "prioritty": "high"}, r"prioritty: unknown name; did you mean priority"),
        ({"queue": "q", "payload": object()}, r"cannot be written as JSON: .*object"),
        ({"queue": "q", "payload": {"n": float("nan")}}, r"cannot be written as JSON"),
        ({"queue": "q", "payload": "\ud800"}, r"cannot be written as JSON"),
        ({"queue": "q", "delay": "soon"}, r"delay: 'soon' is not a duration"),
        ({"queue": "q", "delay": []}, r"delay: "),
        ({"queue": "q", "delay": 1, "scheduled_at": NOW}, r"give delay or scheduled_at"),
    ],
)
async def test_enqueue_validates_before_sending(
    client: AsyncClient, server: Any, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationFailed, match=message) as caught:
        await client.enqueue(**arguments)
    assert caught.value.code == "VALIDATION_ERROR"
    assert isinstance(caught.value, ValueError)
    assert not server.requests


async def test_enqueue_batch_accepts_dicts_and_requests(client: AsyncClient, server: Any) -> None:
    reply = {
        "job_ids": ["a", "b"],
        "batch_id": "batch_1",
        "results": [{"job_id": "a", "status": "pending", "unique_existing": False}],
    }
    server.answer(201, reply)
    result = await client.enqueue_batch(
        [
            {"queue": "q", "payload": [1], "priority": "critical", "job_id": JOB_ID},
            EnqueueRequest(queue="r", priority=Priority.HIGH),
        ],
        batch=BatchOptions(callback_queue="done", callback_payload={"x": None}),
    )
    assert result.model_dump(mode="json", exclude_unset=True) == reply
    [body] = server.bodies
    assert body["batch"] == {"callback_queue": "done", "callback_payload": {"x": None}}
    assert body["jobs"][0] == {
        "queue": "q",
        "payload": [1],
        "priority": "critical",
        "job_id": JOB_ID,
    }
    assert body["jobs"][1].pop("job_id").startswith("job_")
    assert body["jobs"][1] == {"queue": "r", "priority": "high"}


async def test_enqueue_batch_names_the_invalid_job(client: AsyncClient, server: Any) -> None:
    with pytest.raises(ValidationFailed, match="queue") as caught:
        await client.enqueue_batch([{"queue": "q"}, {"queue": "no spaces"}])
    assert caught.value.__notes__ == ["in jobs[1]"]
    with pytest.raises(ValidationFailed, match="1 to 10000 jobs, not 0"):
        await client.enqueue_batch([])
    assert not server.requests


async def test_fetch_returns_a_job_or_none(client: AsyncClient, server: Any) -> None:
    server.answer(200, FETCHED)
    server.answer(204, b"")
    job = await client.fetch(("q", "r"), worker_id="w", timeout=5)
    nothing = await client.fetch(["q"], worker_id="w", timeout=0)
    assert job == held
    assert nothing is None
    assert server.lines == ["POST /api/v1/fetch"] * 2
    assert server.bodies[0] == {
        "queues": ["q", "r"],
        "worker_id": "w",
        "timeout": 5,
        "fenced": True,
    }


async def test_ack_accepts_a_job_or_an_id(client: AsyncClient, server: Any) -> None:
    for _ in range(3):
        server.answer(200, {"status": "ok"})
    await client.ack(held, {"total": 3})
    await client.ack(held, lease_token="other")
    await client.ack("job/x")
    assert server.lines == [
        f"POST /api/v1/ack/{JOB_ID}",
        f"POST /api/v1/ack/{JOB_ID}",
        "POST /api/v1/ack/job%2Fx",
    ]
    assert server.bodies == [
        {"result": {"total": 3}, "lease_token": "token"},
        {"lease_token": "other"},
        {},
    ]


async def test_outcomes_without_a_lease_token_are_not_batched(
    client: AsyncClient, server: Any
) -> None:
    server.answer(200, {"status": "dead"})
    server.answer(200, {"status": "released"})
    await client.fail("x", "boom")
    await client.release("x")
    assert server.lines == ["POST /api/v1/fail/x", "POST /api/v1/release/x"]
    assert server.bodies == [{"error": "boom"}, {}]


async def test_fail_accepts_an_exception(client: AsyncClient, server: Any) -> None:
    server.answer(200, {"status": "dead"})
    with pytest.raises(KeyError) as caught:
        dict[str, int]()["missing\udcff"]
    reply = await client.fail(held, caught.value)
    assert reply.status == "dead"
    [body] = server.bodies
    assert body["error"] == "KeyError: 'missing\\udcff'"
    assert "Traceback" in body["backtrace"]


async def test_too_many_outcomes_are_rejected(client: AsyncClient, server: Any) -> None:
    with pytest.raises(ValidationFailed, match="acks: a batch has at most 512 items, not 513"):
        await client.ack_batch([AckItem(job_id="x")] * 513)


async def test_an_empty_name_is_rejected(client: AsyncClient, server: Any) -> None:
    with pytest.raises(ValidationFailed, match="must not be empty"):
        await client.get_job("")


async def test_error_reply_is_raised_as_its_class(client: AsyncClient, server: Any) -> None:
    server.refuse(409, "LEASE_LOST", "the lease was lost")
    with pytest.raises(LeaseLost, match="the lease was lost") as caught:
        await client.ack(held)
    assert caught.value.status == 409
    assert caught.value.code == "LEASE_LOST"
    assert caught.value.request_id == "req-1"


async def test_states_are_enums(client: AsyncClient, server: Any) -> None:
    server.answer(200, JOB)
    assert (await client.get_job(JOB_ID)).state is JobState.DEAD


async def test_closed_client_rejects_calls(server: Any) -> None:
    client = AsyncClient(transport=httpx.MockTransport(server))
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.info()
    assert not server.requests
