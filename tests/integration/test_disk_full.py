"""A full disk: writes are refused and change nothing until space is free again.

A limit on the file size of the server process simulates the disk. The tests change the limit while
the server runs.
"""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from corvo_schema import new_job_id
from server_support.process import Process, python
from server_support.waiting import wait_until
from support.api_client import ApiClient, Body, Refusal, refusal_of
from support.server import CorvoServer, StartServer, server_command

pytestmark = pytest.mark.sqlite

START_ON_A_FULL_DISK = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (16384, resource.RLIM_INFINITY))
os.execv(sys.argv[1], sys.argv[1:])
"""


def fill_disk(server: CorvoServer) -> None:
    """Forbid the files of the server to grow."""
    size = Path(f"{server.database}-wal").stat().st_size
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, hard))


@contextmanager
def full_disk(server: CorvoServer) -> Iterator[None]:
    """Forbid the files of the server to grow inside the block."""
    fill_disk(server)
    yield
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))


def message_source(message: str) -> str:
    return message.partition(":")[0]


def is_unavailable(refusal: Refusal) -> bool:
    assert (refusal.status, refusal.code) == (503, "UNAVAILABLE")
    assert int(refusal.headers["retry-after"]) >= 1
    return True


async def test_every_write_is_refused_and_changes_nothing(start_server: StartServer) -> None:
    server = start_server(expects_errors=True)
    async with ApiClient(server.url) as api:
        held_id = await api.enqueue("q", 1)
        waiting_id = await api.enqueue("q", 2)
        active = await api.fetch("q")
        before = [await api.job(held_id), await api.job(waiting_id), await api.queue("q")]
        token = {"lease_token": active["lease_token"]}
        with full_disk(server):
            writes: list[tuple[str, Body]] = [
                ("/enqueue", {"queue": "q"}),
                ("/enqueue", {"queue": "new"}),
                ("/enqueue/batch", {"jobs": [{"queue": "q"}] * 50}),
                ("/fetch", {"queues": ["q"], "worker_id": "w", "timeout": 0}),
                (f"/ack/{held_id}", token),
                (f"/fail/{held_id}", {**token, "error": "x"}),
                (f"/release/{held_id}", token),
                ("/heartbeat", {"jobs": {held_id: {**token, "checkpoint": 1}}}),
                (f"/jobs/{waiting_id}/cancel", {}),
                ("/queues/q/pause", {}),
            ]
            for path, body in writes:
                assert is_unavailable(await api.refused(path, body)), path
            queue = await api.queue("q")
            queue["oldest_pending_ms"] = before[2]["oldest_pending_ms"]
            assert [await api.job(held_id), await api.job(waiting_id), queue] == before
            assert [queue["name"] for queue in await api.get("/queues")] == ["q"]

        # Space is free again. The server continues without a restart.
        await api.ack(active, result="late")
        assert (await api.fetch("q"))["job_id"] == waiting_id
        assert await api.state(await api.enqueue("q")) == "pending"
    assert await asyncio.to_thread(server.stop) == 0


async def test_all_writes_of_a_failed_commit_fail(start_server: StartServer) -> None:
    server = start_server(expects_errors=True)
    async with ApiClient(server.url) as api:
        await api.enqueue("q")
        bodies = [{"queue": "q", "job_id": new_job_id()} for _ in range(40)]
        with full_disk(server):
            sent = [api.send("POST", "/enqueue", body) for body in bodies]
            for response in await asyncio.gather(*sent):
                assert is_unavailable(refusal_of(response))
        assert (await api.queue("q"))["enqueued"] == 1
        sent = [api.send("POST", "/enqueue", body) for body in bodies]
        assert [r.status_code for r in await asyncio.gather(*sent)] == [201] * 40
        assert (await api.queue("q"))["enqueued"] == 41


async def test_overdue_work_is_done_when_space_is_free_again(start_server: StartServer) -> None:
    server = start_server(expects_errors=True)
    async with ApiClient(server.url) as api:
        retried = await api.enqueue("q", retry_backoff="fixed", retry_base_delay="1s")
        reclaimed = await api.enqueue("lease")
        expiring = await api.enqueue("other", expire_after="1s")
        await api.fetch("lease", lease_duration=1)
        await api.fail(await api.fetch("q"))
        with full_disk(server):
            services = {"promoter", "reclaimer", "expirer"}
            await wait_until(lambda: services <= {message_source(m) for m in server.messages()})
            states = [await api.state(job_id) for job_id in (retried, reclaimed, expiring)]
            assert states == ["retrying", "active", "pending"]
        await api.see_state(retried, "pending")
        await api.see_state(reclaimed, "pending")
        await api.see_state(expiring, "dead")


async def test_a_kill_while_the_disk_is_full_loses_nothing(start_server: StartServer) -> None:
    server = start_server(expects_errors=True)
    async with ApiClient(server.url) as api:
        ids = [await api.enqueue("q", i) for i in range(20)]
        refused = new_job_id()
        fill_disk(server)
        body = {"queue": "q", "job_id": refused}
        assert is_unavailable(await api.refused("/enqueue", body))
        server.kill()
    server.restart()
    async with ApiClient(server.url) as api:
        jobs = await api.fetch_batch("q", count=50)
        assert [job["job_id"] for job in jobs] == ids
        assert (await api.refused(f"/jobs/{refused}", method="GET")).status == 404


def test_a_server_does_not_start_on_a_full_disk(tmp_path: Path) -> None:
    command = server_command(tmp_path / "data", "127.0.0.1:0")
    process = Process(python("-c", START_ON_A_FULL_DISK, *command))
    try:
        assert process.wait() == 1
        assert f"Cannot use {tmp_path / 'data' / 'corvo.db'}" in process.output
        assert "Traceback" not in process.output
    finally:
        process.close()
    server = CorvoServer(tmp_path / "data").start()
    assert server.stop() == 0
    server.close()
