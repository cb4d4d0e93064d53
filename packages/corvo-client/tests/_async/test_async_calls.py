"""Calls as values, and the exact bytes of their answers."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from corvo_client import AsyncClient, NotFound, RawJson, ValidationFailed
from corvo_client.calls import enqueue, enqueue_request, exact, get_job

JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
BODY = (
    b'{"id":"%b","queue":"q","state":"dead", "payload":{"b":1.10,"a":12345678901234567890},'
    b'"created_at":"2026-01-31T08:00:00.000Z"}' % JOB_ID.encode()
)


@pytest.fixture
async def client(server: Any) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=httpx.MockTransport(server)) as client:
        yield client


async def test_call_is_what_the_method_sends(client: AsyncClient, server: Any) -> None:
    server.answer(200, BODY)
    server.answer(200, BODY)
    assert await client.send(get_job(JOB_ID)) == await client.get_job(JOB_ID)
    assert server.lines == [f"GET /api/v1/jobs/{JOB_ID}"] * 2


async def test_exact_call_returns_the_body(client: AsyncClient, server: Any) -> None:
    server.answer(200, BODY)
    reply = await client.send(exact(get_job(JOB_ID)))
    assert reply.value.payload == {"b": 1.1, "a": 12345678901234567890}
    assert reply.body == BODY


async def test_exact_call_raises_the_same_errors(client: AsyncClient, server: Any) -> None:
    server.refuse(404, "NOT_FOUND", "There is no such job.")
    with pytest.raises(NotFound) as caught:
        await client.send(exact(get_job(JOB_ID)))
    assert caught.value.reason == "There is no such job."


async def test_exact_enqueue_is_not_batched(client: AsyncClient, server: Any) -> None:
    body = b'{"job_id":"%b","status":"pending","unique_existing":false}' % JOB_ID.encode()
    server.answer(201, body)
    reply = await client.send(exact(enqueue(enqueue_request("q"))))
    assert (reply.value.job_id, reply.body) == (JOB_ID, body)
    assert server.lines == ["POST /api/v1/enqueue"]


async def test_raw_payload_is_sent_unchanged(client: AsyncClient, server: Any) -> None:
    text = '{"z": 1.10, "a": 123456789012345678901234567890, "é": 1e2}'
    server.answer(201, {"job_id": JOB_ID, "status": "pending"})
    await client.enqueue("q", RawJson(text), job_id=JOB_ID)
    [request] = server.requests
    expected = f'{{"job_id":"{JOB_ID}","queue":"q","payload":{text}}}'
    assert request.content == expected.encode()


async def test_message_adds_details_to_the_reason(client: AsyncClient, server: Any) -> None:
    details = [{"field": "queue", "message": "is too long"}]
    error = {"error": "Not valid.", "code": "VALIDATION_ERROR", "details": details}
    server.answer(400, error)
    with pytest.raises(ValidationFailed) as caught:
        await client.enqueue("q")
    assert caught.value.reason == "Not valid."
    assert str(caught.value) == "Not valid (queue: is too long)"
