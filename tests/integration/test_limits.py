"""Limits of requests: size, content type, and the write backlog."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest

from support.api_client import API, JSON, ApiClient, refusal_of
from support.server import CorvoServer, StartServer


async def test_a_payload_up_to_the_limit_is_accepted(start_server: StartServer) -> None:
    server = start_server(max_payload_bytes=1000)
    async with ApiClient(server.url) as api:
        fits, is_too_large = "x" * 998, "x" * 999  # The two quotes count, too.
        job_id = await api.enqueue("q", fits)
        assert (await api.job(job_id))["payload"] == fits
        refusal = await api.refused("/enqueue", {"queue": "q", "payload": is_too_large})
        assert (refusal.status, refusal.code) == (413, "PAYLOAD_TOO_LARGE")
        assert refusal.fields == ["payload"]

        jobs = [{"queue": "q", "payload": payload} for payload in (fits, is_too_large)]
        refusal = await api.refused("/enqueue/batch", {"jobs": jobs})
        assert (refusal.status, refusal.code) == (413, "PAYLOAD_TOO_LARGE")
        assert refusal.fields == ["jobs[1].payload"]
        assert len(await api.fetch_batch("q", count=10)) == 1


async def test_the_limit_of_a_payload_is_in_bytes_of_json(api: ApiClient, queue: str) -> None:
    """The default is 256 KiB. A character can have three bytes."""
    text = "€" * (256 * 1024 // 3)
    assert len(text.encode()) + 2 > 256 * 1024
    raw = b'{"queue":"%b","payload":"%b"}' % (queue.encode(), text.encode())
    assert (await api.refused("/enqueue", raw=raw)).status == 413
    raw = b'{"queue":"%b","payload":"%b"}' % (queue.encode(), text[:-1].encode())
    assert (await api.send("POST", "/enqueue", raw=raw)).status_code == 201


@pytest.mark.parametrize("megabytes", [9, 30])
async def test_a_body_over_the_limit_is_refused_with_a_response(
    api: ApiClient, queue: str, megabytes: int
) -> None:
    """The response reaches a client that sends its whole body before it reads."""
    raw = b'{"queue":"%b","payload":"%b"}' % (queue.encode(), b"x" * megabytes * 1_000_000)
    refusal = await api.refused("/enqueue", raw=raw)
    assert (refusal.status, refusal.code) == (413, "PAYLOAD_TOO_LARGE")
    assert refusal.fields == ["body"]
    assert refusal.headers["connection"] == "close"
    assert await api.try_fetch(queue) is None


async def test_a_chunked_body_has_the_same_limit(server: CorvoServer) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * 1_000_000

    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        response = await client.post(f"{API}/enqueue", content=chunks(), headers=JSON)
    assert "content-length" not in response.request.headers
    assert refusal_of(response).status == 413


@pytest.mark.parametrize(
    "declared", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", "%"]
)
async def test_a_body_that_is_not_declared_as_json_is_refused(
    api: ApiClient, queue: str, declared: str
) -> None:
    raw = json.dumps({"queue": queue}).encode()
    refusal = await api.refused("/enqueue", raw=raw, headers={"content-type": declared})
    assert (refusal.status, refusal.code) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert "application/json" in refusal.error
    assert await api.try_fetch(queue) is None


@pytest.mark.parametrize(
    "declared", ["application/json", "Application/JSON; charset=utf-8", "application/json;"]
)
async def test_json_may_be_declared_with_parameters(
    api: ApiClient, queue: str, declared: str
) -> None:
    raw = json.dumps({"queue": queue}).encode()
    headers = {"content-type": declared}
    response = await api.send("POST", "/enqueue", raw=raw, headers=headers)
    assert response.status_code == 201


async def test_a_call_without_a_body_needs_no_declaration(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue)
    leased = await api.fetch(queue)
    response = await api.send("POST", f"/ack/{leased['job_id']}")
    assert response.status_code == 200


async def test_writes_beyond_the_backlog_are_refused_and_change_nothing(
    start_server: StartServer,
) -> None:
    server = start_server(max_backlog=1)
    async with ApiClient(server.url) as api:
        seen: Counter[int] = Counter()
        while not (seen[201] and seen[429]):
            responses = await asyncio.gather(
                *(api.send("POST", "/enqueue", {"queue": "q"}) for _ in range(40))
            )
            seen.update(response.status_code for response in responses)
            for response in responses:
                if response.status_code == 429:
                    refusal = refusal_of(response)
                    assert refusal.code == "OVERLOADED"
                    assert int(refusal.headers["retry-after"]) >= 1
        assert set(seen) == {201, 429}
        assert (await api.queue("q"))["pending"] == seen[201]
        # The backlog has room again after the other writes.
        await api.enqueue("q")


async def test_the_refusal_of_ten_thousand_invalid_jobs_is_short(
    api: ApiClient, queue: str
) -> None:
    jobs = [{"queue": queue, "max_retries": -1, "tags": {"a b": 1}}] * 10_000
    response = await api.send("POST", "/enqueue/batch", {"jobs": jobs})
    refusal = refusal_of(response)
    assert refusal.fields[:2] == ["jobs[0].max_retries", 'jobs[0].tags["a b"]']
    assert len(response.content) < 10_000
