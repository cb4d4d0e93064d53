"""A disk full of the queue's own jobs, or of other files: acks, deletes and a restart work."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from server_support.process import Process, python
from server_support.waiting import wait_until
from support.api_client import ApiClient, Refusal, refusal_of
from support.server import CorvoServer
from support.small_disk import SmallDisk, small_disk

pytestmark = pytest.mark.sqlite

QUEUE = "filling"
RESERVE = "data/corvo.reserve"


@pytest.fixture(params=["16m", "64m"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", request.param) as disk:
        yield disk


@pytest.fixture
def server(disk: SmallDisk) -> Iterator[CorvoServer]:
    server = CorvoServer(disk.path / "data", prefix=disk.prefix).start()
    yield server
    server.close()


def storage_full(response: httpx.Response) -> Refusal:
    """Return the refusal of a write for which there is no space."""
    refusal = refusal_of(response)
    assert (refusal.status, refusal.code) == (503, "STORAGE_FULL"), refusal
    assert int(refusal.headers["retry-after"]) >= 1
    assert "Nothing was done" in refusal.error
    return refusal


async def fill(api: ApiClient, size: int = 2_000) -> int:
    """Enqueue jobs with payloads of `size` bytes until they are refused. Return their number."""
    stored = 0
    job = {"queue": QUEUE, "payload": "x" * size}
    for jobs in ([job] * max(1, min(200, 400_000 // size)), [job]):
        response = await api.send("POST", "/enqueue/batch", {"jobs": jobs})
        while response.status_code == 201:
            stored += len(jobs)
            response = await api.send("POST", "/enqueue/batch", {"jobs": jobs})
        storage_full(response)
    return stored


async def is_accepted(api: ApiClient) -> bool:
    body = {"queue": "other", "payload": "x" * 2_000}
    response = await api.send("POST", "/enqueue", body)
    if response.status_code == 201:
        return True
    storage_full(response)
    return False


async def reason(api: ApiClient) -> str:
    """Return why the server is not ready; an empty text if it is."""
    response = await api.send("GET", "/readyz")
    assert (await api.send("GET", "/healthz")).status_code == 200
    return "" if response.status_code == 200 else str(response.json()["error"])


async def jobs_of(api: ApiClient, queue: str = QUEUE) -> int:
    """Return the number of jobs of a queue; 0 if there is no such queue."""
    found = [each for each in await api.get("/queues") if each["name"] == queue]
    return sum(each["pending"] + each["active"] + each["completed"] for each in found)


async def empty(api: ApiClient, method: str, path: str) -> None:
    """Clear or delete the queue. Return when its jobs are gone."""
    response = await api.send(method, path)
    assert response.is_success, response.text

    async def is_empty() -> bool:
        return await jobs_of(api) == 0

    await wait_until(is_empty, "the queue is empty")


@pytest.mark.parametrize("size", [100, 2_000, 200_000])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", f"/queues/{QUEUE}/clear"), ("DELETE", f"/queues/{QUEUE}?confirm=true")],
)
async def test_queue_that_filled_the_disk_can_be_emptied(
    server: CorvoServer, disk: SmallDisk, size: int, method: str, path: str
) -> None:
    async with ApiClient(server.url) as api:
        await api.enqueue("held")
        held = await api.fetch("held")
        for _ in range(2):
            stored = await fill(api, size)
            assert 0 < disk.free < disk.size / 4
            assert disk.has(RESERVE)
            assert await jobs_of(api) == stored
            await empty(api, method, path)
            assert await is_accepted(api)
        await api.ack(held, result="x" * 1000)
        assert disk.has(RESERVE)
    assert not [line for line in server.errors() if "were not written" in line["message"]]


async def test_full_disk_takes_all_calls_of_workers(server: CorvoServer) -> None:
    async with ApiClient(server.url) as api:
        stored = await fill(api)
        job, failing, released = await api.fetch_batch(QUEUE, count=3)
        assert await api.heartbeat(job, progress={"current": 1}) == {"status": "ok"}
        await api.ack(job, result="x" * 1000)
        await api.fail(failing, retry=False)
        await api.release(released, checkpoint={"at": 1})
        await api.post(f"/jobs/{released['job_id']}/cancel")
        assert await jobs_of(api) == stored - 2
        for _ in range(300):
            await api.ack(await api.fetch(QUEUE))
        done = await api.send("DELETE", f"/jobs/{job['job_id']}")
        assert done.is_success
    assert not [line for line in server.errors() if "were not written" in line["message"]]


async def test_disk_filled_by_other_files_takes_deletes(
    server: CorvoServer, disk: SmallDisk
) -> None:
    async with ApiClient(server.url) as api:
        await fill(api)
        assert disk.has(RESERVE)
        disk.fill()
        assert not await is_accepted(api)
        assert "too full for new jobs" in await reason(api)
        await api.ack(await api.fetch(QUEUE))
        await empty(api, "DELETE", f"/queues/{QUEUE}?confirm=true")
        disk.clear()

        async def has_recovered() -> bool:
            return disk.has(RESERVE) and not await reason(api)

        await wait_until(has_recovered, "the reserve is back")
        assert await is_accepted(api)


@pytest.mark.parametrize("is_killed", [True, False])
async def test_server_starts_on_a_full_disk(
    server: CorvoServer, disk: SmallDisk, is_killed: bool
) -> None:
    async with ApiClient(server.url) as api:
        stored = await fill(api)
        disk.fill()
    for _ in range(2):
        if is_killed:
            server.kill()
        else:
            assert server.stop() == 0
        disk.fill()
        server.restart()
        async with ApiClient(server.url) as api:
            assert await jobs_of(api) == stored
            assert "too full for new jobs" in await reason(api)
            job = await api.fetch(QUEUE)
            await api.ack(job)
            assert (await api.send("DELETE", f"/jobs/{job['job_id']}")).is_success
            stored -= 1
    async with ApiClient(server.url) as api:
        await empty(api, "POST", f"/queues/{QUEUE}/clear")
        assert await is_accepted(api)


async def test_restart_of_a_server_that_filled_its_disk(
    server: CorvoServer, disk: SmallDisk
) -> None:
    async with ApiClient(server.url) as api:
        stored = await fill(api)
    server.kill()
    server.restart()
    async with ApiClient(server.url) as api:
        assert await jobs_of(api) == stored
        assert "too full for new jobs" in await reason(api)
        await empty(api, "POST", f"/queues/{QUEUE}/clear")
        await wait_until(lambda: is_accepted(api))
        assert await reason(api) == ""


async def test_many_producers_leave_space_for_deletes(server: CorvoServer) -> None:
    body = f'{{"queue": "{QUEUE}", "payload": "{"ü" * 100_000}"}}'.encode()
    async with ApiClient(server.url) as api:

        async def produce() -> None:
            response = await api.send("POST", "/enqueue", raw=body)
            while response.status_code == 201:
                response = await api.send("POST", "/enqueue", raw=body)
            storage_full(response)

        await asyncio.gather(*[produce() for _ in range(30)])
        await empty(api, "DELETE", f"/queues/{QUEUE}?confirm=true")
        assert await is_accepted(api)


async def test_vacuum_returns_the_space_of_deleted_jobs(
    server: CorvoServer, disk: SmallDisk, tmp_path: Path
) -> None:
    def run(*command: str | Path) -> Process:
        options = ("-m", "corvo_server", "--data-dir", disk.path / "data", *command)
        return Process([*disk.prefix, *python(*options)])

    async with ApiClient(server.url) as api:
        stored = await fill(api)
        assert server.stop() == 0
        vacuum, backup = run("vacuum"), run("backup", "--compact", tmp_path / "compact.db")
        assert (vacuum.wait(), backup.wait()) == (1, 0)
        assert "MB are missing" in vacuum.output
        assert "Nothing was changed" in vacuum.output
        server.restart()
        assert await jobs_of(api) == stored
        await empty(api, "POST", f"/queues/{QUEUE}/clear")
    assert server.stop() == 0
    before = disk.free
    vacuum = run("vacuum")
    assert vacuum.wait() == 0
    assert disk.free > before + disk.size / 3
