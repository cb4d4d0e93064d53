"""A real server and clients that break their connections, or are slow."""

import asyncio
import json
import socket
import struct

import pytest

from server_support.waiting import wait_until
from support.api_client import API, ApiClient
from support.server import CorvoServer

LARGE = "x" * 200_000


def fetch_request(path: str, queue: str, **fields: object) -> bytes:
    body = json.dumps({"queues": [queue], "worker_id": "lost", "timeout": 0, **fields}).encode()
    head = (
        f"POST {API}{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize("path", ["/fetch", "/fetch/batch"])
async def test_jobs_go_back_when_the_connection_breaks_before_the_reply_is_taken(
    server: CorvoServer, api: ApiClient, queue: str, path: str
) -> None:
    job_id = await api.enqueue(queue, LARGE, max_retries=1)
    for _ in range(5):
        with socket.socket() as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(link.connect, ("127.0.0.1", server.port))
            link.sendall(fetch_request(path, queue))
            assert b" 200 OK" in await asyncio.to_thread(link.recv, 100)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        job = await wait_until(lambda: api.try_fetch(queue), "the job is handed out again")
        assert (job["job_id"], job["attempt"]) == (job_id, 1)
        await api.post(f"/release/{job_id}", {"lease_token": job["lease_token"]})
    states = await api.get(f"/jobs/{job_id}")
    assert (states["state"], states["attempt"]) == ("pending", 0)


async def test_slow_requests_are_refused_while_others_are_served(
    server: CorvoServer, api: ApiClient, queue: str
) -> None:
    head, body = fetch_request("/fetch", queue)[:40], fetch_request("/fetch", queue)[:-1]
    links = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(20)]
    for i, (_, writer) in enumerate(links):
        writer.write(head if i % 2 else body)
    await api.enqueue(queue)
    replies = await asyncio.gather(*(asyncio.wait_for(link.read(), 30) for link, _ in links))
    for reply in replies:
        assert reply.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"REQUEST_TIMEOUT"' in reply
    for _, writer in links:
        writer.close()
    assert await api.try_fetch(queue) is not None
