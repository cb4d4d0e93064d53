"""Batches of client calls: their requests and the result of each call."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import httpx

from corvo_client import (
    ApiError,
    AsyncClient,
    LeaseLost,
    PayloadTooLarge,
)
from corvo_client._async import coalescer as coalescing
from corvo_client._calls import attempts, jobs
from corvo_schema import EnqueueReply, EnqueueRequest, FetchedJob

JOB_IDS = [f"job_01ARZ3NDEKTSV4RRFFQ69G5FA{letter}" for letter in "ABCD"]


def fetched(job_id: str) -> FetchedJob:
    return FetchedJob(job_id=job_id, queue="q", attempt=1, lease_duration=60, lease_token="t")


def error(code: str) -> dict[str, str]:
    return {"status": "error", "code": code, "error": "no"}


def network(server: Any) -> httpx.MockTransport:
    """Return a transport with a delay."""

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        response: httpx.Response = server(request)
        return response

    return httpx.MockTransport(answer)


def results_for(job_ids: list[str], *results: dict[str, str]) -> list[dict[str, str]]:
    return [{"job_id": i, **result} for i, result in zip(job_ids, results, strict=True)]


async def gathered(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_client_batches_enqueues(server: Any) -> None:
    server.answer(201, {"job_id": "first", "status": "pending"})
    server.answer(
        201,
        {
            "job_ids": ["second", "third"],
            "results": [
                {"job_id": "second", "status": "scheduled", "unique_existing": False},
                {"job_id": "third", "status": "duplicate", "unique_existing": True},
            ],
        },
    )
    async with AsyncClient(transport=network(server)) as client:
        replies = await gathered(*(client.enqueue("q", n) for n in range(3)))
    assert [reply.job_id for reply in replies] == ["first", "second", "third"]
    assert [reply.unique_existing for reply in replies] == [False, False, True]
    assert server.lines == ["POST /api/v1/enqueue", "POST /api/v1/enqueue/batch"]
    assert [job["payload"] for job in server.bodies[1]["jobs"]] == [1, 2]
    assert all(isinstance(reply, EnqueueReply) for reply in replies)


async def test_client_batches_acks(server: Any) -> None:
    server.answer(200, {"status": "ok"})
    results = results_for(JOB_IDS[1:], {"status": "ok"}, error("LEASE_LOST"), error("NEW_CODE"))
    server.answer(200, {"acked": 1, "results": results})
    async with AsyncClient(transport=network(server)) as client:
        replies = await gathered(*(client.ack(fetched(i), {"id": i}) for i in JOB_IDS))
    assert replies[:2] == [None, None]
    assert isinstance(replies[2], LeaseLost)
    assert replies[2].status == 409
    assert isinstance(replies[3], ApiError)
    assert replies[3].code == "NEW_CODE"
    assert server.lines == [f"POST /api/v1/ack/{JOB_IDS[0]}", "POST /api/v1/ack/batch"]
    assert server.bodies[1] == {
        "acks": [{"job_id": i, "lease_token": "t", "result": {"id": i}} for i in JOB_IDS[1:]]
    }


async def test_client_batches_fails_and_releases(server: Any) -> None:
    server.answer(200, {"status": "retrying", "attempts_remaining": 1})
    server.answer(200, {"status": "released"})

    def results(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/fail/batch"):
            given = results_for(JOB_IDS[1:3], {"status": "dead"}, error("INVALID_STATE"))
            return httpx.Response(200, json={"failed": 1, "results": given})
        given = results_for(JOB_IDS[1:3], {"status": "cancelled"}, error("LEASE_LOST"))
        return httpx.Response(200, json={"released": 1, "results": given})

    server.then(results)
    server.then(results)
    async with AsyncClient(transport=network(server)) as client:
        failed, released = await asyncio.gather(
            gathered(*(client.fail(fetched(i), "boom") for i in JOB_IDS[:3])),
            gathered(*(client.release(fetched(i), delay=1) for i in JOB_IDS[:3])),
        )
    assert [getattr(reply, "status", None) for reply in failed] == ["retrying", "dead", 409]
    assert [getattr(reply, "status", None) for reply in released] == ["released", "cancelled", 409]
    by_path = dict(zip(server.lines, server.bodies, strict=True))
    assert by_path["POST /api/v1/fail/batch"]["fails"][0] == {
        "job_id": JOB_IDS[1],
        "error": "boom",
        "lease_token": "t",
    }
    assert by_path["POST /api/v1/release/batch"]["releases"][0] == {
        "job_id": JOB_IDS[1],
        "delay": "1s",
        "lease_token": "t",
    }


async def test_only_the_call_with_a_large_payload_fails(server: Any) -> None:
    def judge(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        payloads = [job["payload"] for job in body.get("jobs", [body])]
        if "large" in payloads:
            refusal = {"error": "payload too large", "code": "PAYLOAD_TOO_LARGE"}
            return httpx.Response(413, json=refusal)
        results = [{"job_id": text, "status": "pending"} for text in payloads]
        if "jobs" not in body:
            return httpx.Response(201, json=results[0])
        return httpx.Response(201, json={"job_ids": payloads, "results": results})

    for _ in range(10):
        server.then(judge)
    payloads = ["a", "b", "large", "c", "d"]
    async with AsyncClient(transport=network(server)) as client:
        replies = await gathered(*(client.enqueue("q", text) for text in payloads))
    assert isinstance(replies[2], PayloadTooLarge)
    assert [reply.job_id for reply in replies if isinstance(reply, EnqueueReply)] == list("abcd")


async def test_a_batch_is_repeatable_if_all_calls_are() -> None:
    enqueues = [jobs.enqueue(EnqueueRequest(queue="q")) for _ in range(2)]
    endpoint = enqueues[0].batch_endpoint
    assert endpoint is not None
    assert endpoint.join(enqueues).repeatable
    assert attempts.ack(fetched(JOB_IDS[0]), {}).repeatable
    enqueues[0].repeatable = False
    assert not endpoint.join(enqueues).repeatable


def test_item_of_an_outcome_begins_with_its_job_id() -> None:
    assert attempts._item("x", b"{}") == b'{"job_id":"x"}'
    assert attempts._item("x", b'{"result":1}') == b'{"job_id":"x","result":1}'


def test_batches_are_smaller_than_common_body_limits() -> None:
    assert coalescing.MAX_BYTES < 4 * 1024 * 1024
