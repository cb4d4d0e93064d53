"""Properties of every request: request ids, log lines, 404 and 405, CORS, strict mode."""

import asyncio
import json
import re

import pytest

from server_support.waiting import wait_until
from support.api_client import API, ApiClient, refusal_of
from support.server import CorvoServer, StartServer

PAGE = "https://dashboard.example.com"


@pytest.mark.parametrize("given", ["abc-123", "a" * 128, "trace/1:2=3+4._"])
async def test_a_valid_request_id_is_echoed(api: ApiClient, given: str) -> None:
    response = await api.send("GET", "/info", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["a" * 129, "two words", "<script>", "", "ümlaut"])
async def test_an_invalid_request_id_is_replaced(api: ApiClient, given: str) -> None:
    headers = {"X-Request-ID": given.encode()}
    response = await api.send("GET", "/info", headers=headers)  # type: ignore[arg-type]
    assert response.headers["x-request-id"] not in {given, ""}


async def test_a_request_without_id_gets_a_new_id(api: ApiClient, server: CorvoServer) -> None:
    responses = [await api.send("GET", "/info") for _ in range(3)]
    ids = {response.headers["x-request-id"] for response in responses}
    assert len(ids) == 3

    def is_logged() -> bool:
        return ids <= {line.get("request_id") for line in server.log}

    await wait_until(is_logged)


async def test_a_request_is_logged_in_one_line(
    api: ApiClient, server: CorvoServer, queue: str
) -> None:
    body = {"queue": queue, "payload": "secret"}
    response = await api.send("POST", "/enqueue", body, headers={"X-Request-ID": f"r-{queue}"})
    assert response.status_code == 201

    def lines() -> list[dict[str, object]]:
        return [line for line in server.log if line.get("request_id") == f"r-{queue}"]

    (line,) = await wait_until(lines)
    assert line["method"] == "POST"
    assert line["path"] == f"{API}/enqueue"
    assert line["status"] == 201
    assert line["level"] == "info"
    assert "secret" not in str(line)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/enqueue", {"queue": "$"}),
        ("/enqueue", {"queue": ""}),
        ("/fetch", {"queues": ["$"], "worker_id": "w", "timeout": 0}),
        ("/ack/nobody", {}),
    ],
)
async def test_the_fast_path_sends_the_same_bytes(
    server: CorvoServer, queue: str, path: str, body: dict[str, object]
) -> None:
    text = json.dumps(body).replace("$", queue)

    async def answer(*lines: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = [
            f"POST {API}{path} HTTP/1.1",
            "Host: localhost",
            "X-Request-ID: same",
            "Content-Type: application/json",
            f"Content-Length: {len(text)}",
            *lines,
        ]
        writer.write("\r\n".join([*head, "", text]).encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", answer)
        answer += await reader.readexactly(int(length[1]) if length else 0)
        writer.close()
        return re.sub(rb"job_\w{26}", b"JOB", answer)

    plain = await answer()
    assert plain.startswith(b"HTTP/1.1 ")
    assert plain == await answer("Upgrade: nothing")  # not on the fast path


async def test_info_describes_the_server(api: ApiClient) -> None:
    info = await api.get("/info")
    assert info["api_version"] == "1"
    assert info["server_version"].count(".") == 2
    assert await api.get("/healthz") == {"status": "ok"}
    assert await api.get("/readyz") == {"status": "ok"}


async def test_an_unknown_path_is_not_found(api: ApiClient) -> None:
    refusal = await api.refused("/nothing", method="GET")
    assert (refusal.status, refusal.code) == (404, "NOT_FOUND")


async def test_an_unsupported_method_is_refused(api: ApiClient) -> None:
    refusal = await api.refused("/enqueue", method="GET")
    assert (refusal.status, refusal.code) == (405, "METHOD_NOT_ALLOWED")
    assert refusal.headers["allow"] == "POST"


async def test_unknown_fields_are_ignored(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue, prioritty="high", field_of_next_year={"a": 1})
    assert (await api.fetch(queue))["priority"] == "normal"


@pytest.mark.parametrize("flag", ["true", "1"])
async def test_unknown_fields_are_refused_in_strict_mode(
    api: ApiClient, queue: str, flag: str
) -> None:
    body = {"queue": queue, "prioritty": "high"}
    refusal = await api.refused(f"/enqueue?strict={flag}", body)
    assert (refusal.status, refusal.code) == (400, "VALIDATION_ERROR")
    assert refusal.fields == ["prioritty"]
    refusal = await api.refused(f"/enqueue/batch?strict={flag}", {"jobs": [body]})
    assert refusal.fields == ["jobs[0].prioritty"]
    right = {"queue": queue, "payload": {"any": "field"}, "tags": {"any": "tag"}}
    assert (await api.send("POST", f"/enqueue?strict={flag}", right)).status_code == 201
    assert len(await api.fetch_batch(queue, count=10)) == 1


async def test_cors_is_disabled_by_default(api: ApiClient) -> None:
    response = await api.send("GET", "/queues", headers={"Origin": PAGE})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    preflight = await api.send("OPTIONS", "/enqueue", headers=asked)
    assert refusal_of(preflight).status == 405
    assert "access-control-allow-origin" not in preflight.headers


async def test_cors_allows_the_configured_origins(start_server: StartServer) -> None:
    server = start_server(cors_origins=f"{PAGE}, https://other.example.com")
    async with ApiClient(server.url) as api:
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        preflight = await api.send("OPTIONS", "/enqueue", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == PAGE
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert "content-type" in preflight.headers["access-control-allow-headers"]

        body = {"queue": "q"}
        response = await api.send("POST", "/enqueue", body, headers={"Origin": PAGE})
        assert response.status_code == 201
        assert response.headers["access-control-allow-origin"] == PAGE
        assert response.headers["vary"] == "origin"
        refused = await api.send("POST", "/enqueue", {}, headers={"Origin": PAGE})
        assert refused.status_code == 400
        assert refused.headers["access-control-allow-origin"] == PAGE

        stranger = {"Origin": "https://evil.example.com"}
        response = await api.send("GET", "/queues", headers=stranger)
        assert "access-control-allow-origin" not in response.headers
