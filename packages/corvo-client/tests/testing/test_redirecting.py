"""Redirection of all calls of a process to the server of a test."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from corvo_client import AsyncClient, Client
from corvo_client._async.direct import AsyncDirect
from corvo_client.testing import LocalServer, RedirectEnded, redirecting
from corvo_client.worker import Worker

PLUGIN_TESTS = """
import asyncio

from app import chat, client, loose, send, worker
from corvo_client import AsyncClient, Client


def names(client):
    return sorted(job.queue for job in client.search_all())


def work(corvo_client):
    send.enqueue(7)
    asyncio.run(send.aenqueue(8))
    loose.enqueue()
    client.enqueue("client")
    asyncio.run(chat.enqueue("chat"))
    client.put_schedule("nightly", queue="q", cron="@daily")
    assert names(corvo_client) == ["chat", "client", "loose", "send", "send"]
    assert [s.name for s in corvo_client.list_schedules()] == ["nightly"]


def test_one(corvo_client):
    work(corvo_client)


async def run(worker, corvo_client, job_id):
    async with worker:
        while corvo_client.get_job(job_id).state != "completed":
            await asyncio.sleep(0.01)


def test_two(corvo_client, corvo_server):
    work(corvo_client)
    corvo_client.delete_queue("send")
    job_id = send.enqueue(1).job_id
    asyncio.run(run(worker, corvo_client, job_id))
    assert corvo_client.get_job(job_id).result == [corvo_server, 1]
    assert names(corvo_client).count("loose") == 2  # one is of the process
"""
APP = """
import os

from corvo_client import AsyncClient, Client
from corvo_client.worker import Worker

worker = Worker({url!r}, api_key="secret")
client = Client({url!r}, headers={{"X-Secret": "1"}})
chat = AsyncClient({url!r}, proxy={url!r})


@worker.task("send", executor="process")
def send(n: int) -> list:
    loose.enqueue()
    return [client.base_url, n]


@Worker().task("loose")
def loose() -> None: ...
"""


@pytest.fixture(scope="module")
def real() -> Iterator[LocalServer]:
    """Return the server that no test may reach."""
    with LocalServer() as server:
        yield server


@pytest.fixture(scope="module")
def mine() -> Iterator[LocalServer]:
    """Return the server of the tests."""
    with LocalServer() as server:
        yield server


@pytest.fixture(autouse=True)
def empty(real: LocalServer, mine: LocalServer) -> Iterator[None]:
    """Delete the queues of each test, except those of jobs that its worker could not report."""
    yield
    for server in (real, mine):
        with Client(server.url) as client:
            for queue in client.list_queues():
                if not queue.active:
                    client.delete_queue(queue.name)


@pytest.fixture
def stored(real: LocalServer) -> Callable[[], list[str]]:
    """Return a function that returns the queues of the jobs of `real`, without the client."""

    def stored() -> list[str]:
        reply = httpx.post(f"{real.url}/api/v1/jobs/search", json={}).json()
        return [job["queue"] for job in reply["jobs"]]

    return stored


def queues(client: Client) -> list[str]:
    return sorted(job.queue for job in client.search_all() if job.state == "pending")


def test_an_application_with_urls_in_its_code_reaches_only_the_test_server(
    tmp_path: Path, real: LocalServer, stored: Callable[[], list[str]]
) -> None:
    (tmp_path / "app.py").write_text(APP.format(url=real.url))
    (tmp_path / "test_app.py").write_text(PLUGIN_TESTS)
    # The application never closes its asyncio client, whose loop ends with its test.
    ignored = ("-W", "ignore::pytest.PytestUnraisableExceptionWarning")
    done = subprocess.run(  # noqa: PLW1510 - the output tells more than the exit code
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ignored, "test_app.py"],
        cwd=tmp_path,
        env={**os.environ, "CORVO_SERVER": real.url, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert stored() == []


def test_old_clients_are_redirected_and_restored(real: LocalServer, mine: LocalServer) -> None:
    with Client(real.url) as client:
        client.enqueue("real")
        with redirecting(mine.url):
            assert client.base_url == mine.url
            client.enqueue("mine")
            assert queues(client) == ["mine"]
            with redirecting(real.url):
                assert queues(client) == ["real"]
            assert queues(client) == ["mine"]
        assert client.base_url == real.url
        assert queues(client) == ["real"]


async def test_connections_in_one_loop_follow_the_redirection(
    real: LocalServer, mine: LocalServer
) -> None:
    async with AsyncClient("http://127.0.0.1:9") as client:
        for server in (real, mine):
            with redirecting(server.url):
                for _ in range(2):
                    await asyncio.gather(client.enqueue("q"), client.list_queues())
                    await client.fetch(["none"], worker_id="w", timeout=0.01)
                assert [queue.enqueued for queue in await client.list_queues()] == [2]
                old = client._transport._calls
        with redirecting(real.url):
            await client.healthz()
        assert isinstance(old, AsyncDirect)
        assert old._is_closed


def test_threads_are_redirected(mine: LocalServer) -> None:
    worker = Worker("http://127.0.0.1:9")

    @worker.task("threads")
    def task() -> None: ...

    threads = [threading.Thread(target=task.enqueue) for _ in range(4)]
    with redirecting(mine.url), Client() as client:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert queues(client) == ["threads"] * 4


def test_the_default_server_is_not_the_dead_one_of_a_test(
    real: LocalServer, mine: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker()
    monkeypatch.setenv("CORVO_SERVER", real.url)

    @worker.task("default")
    def task() -> None: ...

    with redirecting(mine.url):
        monkeypatch.setenv("CORVO_SERVER", mine.url)
        task.enqueue()
        client = Client()
        assert client.base_url == mine.url
    with closing(client):
        assert client.base_url == real.url
        job_id = task.enqueue().job_id
        assert client.get_job(job_id).queue == "default"


def test_a_transport_in_memory_stays(mine: LocalServer) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"status": "from memory"})

    with redirecting(mine.url), Client(transport=httpx.MockTransport(answer)) as client:
        assert client.healthz().status == "from memory"


def test_other_transports_are_replaced_and_restored(real: LocalServer, mine: LocalServer) -> None:
    with Client(real.url, transport=httpx.HTTPTransport(retries=1)) as client:
        client.enqueue("mine")
        with redirecting(mine.url):
            assert queues(client) == []
        assert queues(client) == ["mine"]
        with redirecting(real.url):
            client.healthz()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nothing tells when it holds
            await asyncio.sleep(0.01)


async def started(worker: Worker) -> "asyncio.Task[None]":
    """Run a worker in the background and wait for its first fetch."""
    background = asyncio.create_task(worker.run_async())
    await until(lambda: worker.seconds_since_poll is not None)
    return background


async def test_a_worker_left_running_reaches_no_server(
    real: LocalServer,
    mine: LocalServer,
    stored: Callable[[], list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = Worker(real.url, poll_timeout=0.1)
    is_over = asyncio.Event()
    may_go_on = threading.Event()
    errors: list[Exception] = []

    async def keep(enqueue: Callable[[], Awaitable[object]]) -> None:
        try:
            await enqueue()
        except RedirectEnded as error:
            errors.append(error)

    @worker.task("asynchronous")
    async def asynchronous() -> None:
        await is_over.wait()
        await keep(target.aenqueue)

    @worker.task("plain")
    def plain() -> None:
        may_go_on.wait(60)
        try:
            target.enqueue()
        except RedirectEnded as error:
            errors.append(error)

    @worker.task("target")
    def target() -> None: ...

    with redirecting(mine.url):
        background = await started(worker)
        await asynchronous.aenqueue()
        await asyncio.to_thread(plain.enqueue)
        await until(lambda: worker.running == 2)
    sentence = f"was started in a test with the server {mine.url}, and that test has ended"
    await until(lambda: sentence in caplog.text)
    is_over.set()
    may_go_on.set()
    await until(lambda: len(errors) == 2)
    worker.stop()
    await background
    assert stored() == []
    # The next run starts anew.
    background = await started(worker)
    await target.aenqueue()
    assert stored() == ["target"]
    worker.stop()
    await background


async def test_a_worker_started_before_reaches_no_server(
    real: LocalServer, mine: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(real.url, poll_timeout=0.1)

    @worker.task("early")
    def task() -> None: ...

    background = await started(worker)
    with redirecting(mine.url):
        await until(lambda: "was started before the test, which redirects all" in caplog.text)
        await task.aenqueue()  # the code of the test itself is redirected
    polled = time.monotonic() - (worker.seconds_since_poll or 0.0)
    # It goes on after the test.
    await until(lambda: time.monotonic() - (worker.seconds_since_poll or 0.0) > polled + 0.001)
    worker.stop()
    await background
