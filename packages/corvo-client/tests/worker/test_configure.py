"""`Worker.configure`."""

from contextvars import copy_context
from types import SimpleNamespace
from typing import Any

import pytest

from corvo_client import AsyncClient
from corvo_client.worker import Worker
from corvo_client.worker._api import LeasedJob
from corvo_client.worker._child import Returned, _run
from corvo_client.worker._leases import Lease
from corvo_client.worker._processes import _request
from corvo_client.worker._server import Server

in_the_code = Worker("http://in-the-code:1")


@in_the_code.task("child", executor="process")
def server_in_child() -> str | None:
    """Return the server of the tasks of this worker, as the process of the handler sees it."""
    return in_the_code.server


def test_a_process_of_handlers_uses_the_configured_server() -> None:
    worker = Worker("http://in-the-code:1")
    task = worker.task("child", executor="process")(server_in_child)
    worker.configure(server="http://elsewhere:2")
    job = LeasedJob(job_id="job_1", queue="child", payload={}, attempt=1, lease_duration=60.0)
    request = _request(task, Lease(job, 0.0, lambda: None))
    forwarder = SimpleNamespace(set_levels=lambda _levels: None, install=lambda: None)
    inside = copy_context()
    assert inside.run(_run, request, lambda _lease: None, forwarder) == Returned(
        "http://elsewhere:2"
    )


def origin(worker: Worker) -> tuple[str, dict[bytes, bytes]]:
    made = worker._server._origin
    return made.url, dict(made.server.headers)


@pytest.fixture
def worker() -> Worker:
    worker = Worker("http://in-the-code:1", api_key="code", queues=["a"], concurrency=3)

    @worker.task("a")
    def a() -> None: ...

    @worker.task("b")
    def b() -> None: ...

    return worker


def test_configure_without_arguments_changes_nothing(worker: Worker) -> None:
    worker.configure()
    url, headers = origin(worker)
    assert (url, headers[b"Authorization"]) == ("http://in-the-code:1", b"Bearer code")
    assert (worker.concurrency, list(worker._served_tasks())) == (3, ["a"])


def test_server_and_key_are_replaced_together(worker: Worker) -> None:
    assert origin(worker)[0] == "http://in-the-code:1"
    worker.configure(server="http://elsewhere:2")
    url, headers = origin(worker)
    assert url == "http://elsewhere:2"
    assert b"Authorization" not in headers


def test_key_alone_keeps_the_server(worker: Worker) -> None:
    worker.configure(api_key="other")
    url, headers = origin(worker)
    assert (url, headers[b"Authorization"]) == ("http://in-the-code:1", b"Bearer other")


def test_key_alone_replaces_the_key_of_a_client() -> None:
    worker = Worker(AsyncClient("http://in-the-code:1", api_key="code"))
    worker.configure(api_key="other")
    url, headers = origin(worker)
    assert (url, headers[b"Authorization"]) == ("http://in-the-code:1", b"Bearer other")


async def test_run_uses_the_configured_options(
    worker: Worker, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "api", lambda _self, _terms: server)
    monkeypatch.setattr(Server, "heartbeat_sender", lambda _self, _seconds: server)
    worker.configure(queues=["b"], concurrency=7)
    async with worker:
        await server.seen(lambda: server.fetches)
        assert worker.concurrency == 7
        assert worker._life is not None
        assert worker._life.run._options.concurrency == 7
        with pytest.raises(RuntimeError, match="already running"):
            worker.configure(concurrency=1)
    assert server.fetched_queues == [("b",)]


def test_invalid_arguments_are_rejected(worker: Worker) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        worker.configure(concurrency=0)
