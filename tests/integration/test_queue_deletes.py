"""Large clears, deletes and bulk operations: they end although their client or server goes away."""

import asyncio
import json
import socket
import struct
from typing import Any

import pytest

from server_support.waiting import wait_until
from support.api_client import API, ApiClient, Body
from support.server import CorvoServer, StartServer

JOBS = 10_000
PATHS = {
    "delete": ("DELETE", "/queues/big?confirm=true"),
    "clear": ("POST", "/queues/big/clear"),
}


async def fill(api: ApiClient, jobs: int = JOBS) -> None:
    """Enqueue `jobs` jobs in the queue `big`."""
    for _ in range(jobs // 5_000):
        await api.post("/enqueue/batch", {"jobs": [{"queue": "big"}] * 5_000})


async def hang_up_after_the_first_job(
    server: CorvoServer, api: ApiClient, verb: str, body: Any = None
) -> None:
    """Send the request and reset the connection while the server works on it."""
    total = (await api.queue("big"))["pending"]
    method, path = PATHS.get(verb, ("POST", verb))
    data = b"" if body is None else json.dumps(body).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"{method} {API}{path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        + data
    )

    async def has_begun() -> bool:
        queue = await find(api)
        return queue is None or queue["pending"] < total

    await wait_until(has_begun, "the first job is gone")
    # Close with a reset: after an orderly close, a client may still read the answer.
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()


async def find(api: ApiClient, name: str = "big") -> Body | None:
    """Return a queue, or None if there is none."""
    found = [queue for queue in await api.get("/queues") if queue["name"] == name]
    return found[0] if found else None


async def see_no_pending_job(api: ApiClient) -> Body | None:
    """Wait until the queue has no pending job or does not exist. Return it."""

    async def is_empty() -> bool:
        queue = await find(api)
        return queue is None or queue["pending"] == 0

    await wait_until(is_empty, "all jobs are deleted")
    return await find(api)


async def test_a_delete_goes_on_without_its_client(start_server: StartServer) -> None:
    server = start_server()
    async with ApiClient(server.url) as api:
        await fill(api)
        await hang_up_after_the_first_job(server, api, "delete")
        new = await api.enqueue("big")
        assert (await api.fetch("big", timeout=20))["job_id"] == new

        async def is_alone() -> bool:
            queue = await find(api)
            return queue is not None and queue["active"] == 1 and queue["pending"] == 0

        await wait_until(is_alone, "only the new job is left")
        assert not (await api.queue("big"))["paused"]


async def test_a_clear_goes_on_without_its_client(start_server: StartServer) -> None:
    server = start_server()
    async with ApiClient(server.url) as api:
        await fill(api)
        await hang_up_after_the_first_job(server, api, "clear")
        queue = await see_no_pending_job(api)
        assert queue is not None
        assert not queue["paused"]


async def test_a_bulk_operation_goes_on_without_its_client(start_server: StartServer) -> None:
    server = start_server()
    async with ApiClient(server.url) as api:
        await fill(api)
        body = {"action": "cancel", "filter": {"queue": "big"}}
        await hang_up_after_the_first_job(server, api, "/jobs/bulk", body)
        await see_no_pending_job(api)
        assert (await api.queue("big"))["cancelled"] == JOBS


@pytest.mark.parametrize("verb", ["delete", "clear"])
async def test_a_large_call_continues_after_a_kill(start_server: StartServer, verb: str) -> None:
    server = start_server()
    method, path = PATHS[verb]
    async with ApiClient(server.url) as api:
        await fill(api)
        call = asyncio.ensure_future(api.send(method, path))

        async def has_begun() -> bool:
            queue = await find(api)
            return call.done() or (queue is not None and queue["pending"] < JOBS)

        await wait_until(has_begun, "the first job is deleted")
        await asyncio.to_thread(server.kill)
        await asyncio.gather(call, return_exceptions=True)
    await asyncio.to_thread(server.restart)
    async with ApiClient(server.url) as api:
        new = await api.enqueue("big")
        assert (await api.fetch("big", timeout=20))["job_id"] == new
        queue = await see_no_pending_job(api)
        assert queue is not None
        assert not queue["paused"]


async def test_a_large_call_is_answered_when_it_has_ended(start_server: StartServer) -> None:
    server = start_server()
    async with ApiClient(server.url) as api:
        await fill(api, 5_000)
        answer = await api.send("DELETE", "/queues/big?confirm=true")
        if answer.status_code == 202:  # a slow machine
            operation = answer.json()
            assert answer.headers["location"] == f"{API}/bulk/{operation['bulk_operation_id']}"
        else:
            assert answer.json() == {"status": "deleted", "deleted": 5_000}
        assert await see_no_pending_job(api) is None
        (listed,) = await api.get("/bulk")
        assert (listed["action"], listed["affected"]) == ("delete_queue", 5_000)
