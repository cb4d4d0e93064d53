"""A server from start to shutdown, in the test's process, which sends the signals to itself."""

import asyncio
import errno
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corvo_server import serve as serve_module
from corvo_server.http_server import _KEEP_ALIVE, BindError, bind, new_loop, raise_file_limit
from corvo_server.serve import Server, serve
from corvo_server.settings import Settings
from corvo_server.store.sqlite.store import SqliteStore
from server_support.bench import until
from server_support.http import API, Connection, Reply, request

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals need the main thread"
)


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture(autouse=True)
def _no_touchup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "CORVO_SANIC_TOUCHUP", "false"
    )  # it would rewrite Sanic's methods for the whole process


def settings(tmp_path: Path, **options: Any) -> Settings:
    return Settings(**{"bind": "127.0.0.1:0", "data_dir": tmp_path, **options})


class Running:
    """A server that runs in the test's event loop."""

    def __init__(self, server: Server, caplog: pytest.LogCaptureFixture) -> None:
        self.task = asyncio.ensure_future(server.run())
        self._caplog = caplog

    @property
    def log(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records]

    async def address(self) -> tuple[str, int]:
        """Wait until the server listens. Return host and port."""
        await until(lambda: self.task.done() or any("listening on" in line for line in self.log))
        (line,) = [line for line in self.log if "listening on" in line]
        host, _, port = line.removeprefix("listening on http://").rpartition(":")
        return host.strip("[]"), int(port)

    async def connect(self) -> Connection:
        return Connection(*await asyncio.open_connection(*await self.address()))

    async def call(self, method: str, path: str, body: Any = None) -> Reply:
        connection = await self.connect()
        await connection.send(request(method, path, body))
        reply = await connection.receive()
        connection.close()
        return reply


def run(tmp_path: Path, caplog: pytest.LogCaptureFixture, **options: Any) -> Running:
    return Running(Server(settings(tmp_path, **options), SqliteStore(tmp_path)), caplog)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_the_server_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    server = run(tmp_path, caplog)
    assert (await server.call("GET", "/healthz")).status == 200
    waiting = await server.connect()
    body = {"queues": ["mail"], "worker_id": "w", "timeout": 60}
    await waiting.send(request("POST", f"{API}/fetch", body))
    idle = await server.connect()
    await idle.send(request("GET", "/healthz"))
    assert (await idle.receive()).status == 200
    address = await server.address()
    await asyncio.sleep(0)
    os.kill(os.getpid(), number)
    assert (await asyncio.wait_for(waiting.receive(), 5)).status == 204
    await asyncio.wait_for(server.task, 10)
    assert await idle.at_end()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    for connection in (waiting, idle):
        connection.close()
    steps = [line for line in server.log if line.startswith("stop")]
    assert [step.split(": ")[1].split()[0] for step in steps] == [
        "no",
        steps[1].split(": ")[1].split()[0],
        "requests",
        "services",
        "the",
    ]
    await SqliteStore(tmp_path).close()  # the lock is free


async def test_server_without_requests_stops_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = run(tmp_path, caplog)
    await server.address()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(server.task, 5)


async def start_slow_request(server: Running) -> Connection:
    """Return a connection with an enqueue whose body is sent and read up to `{"queue":`."""
    connection = await server.connect()
    whole = request(
        "POST", f"{API}/enqueue", b'{"queue":"mail"}', headers={"expect": "100-continue"}
    )
    head, _, _ = whole.partition(b"\r\n\r\n")
    await connection.send(head + b"\r\n\r\n")
    assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await connection.send(b'{"queue":')
    return connection


async def test_request_in_flight_is_finished(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = run(tmp_path, caplog)
    slow = await start_slow_request(server)
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: any("waiting fetches" in line for line in server.log))
    await slow.send(b'"mail"}')
    assert (await asyncio.wait_for(slow.receive(), 5)).status == 201
    slow.close()
    await asyncio.wait_for(server.task, 10)
    store = SqliteStore(tmp_path)
    queue = await store.find_queue("mail")
    assert queue is not None
    assert queue.pending == 1
    await store.close()


async def test_request_that_never_ends_is_aborted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = run(tmp_path, caplog, shutdown_timeout="50ms")
    stuck = await start_slow_request(server)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(server.task, 10)
    assert any("1 requests were cut off" in line for line in server.log)
    stuck.close()


async def test_second_signal_ends_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[int] = []
    monkeypatch.setattr(serve_module.os, "_exit", ends.append)
    server = run(tmp_path, caplog)
    await server.address()
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(server.task, 10)
    assert ends == [128 + signal.SIGINT]


async def test_services_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = run(tmp_path, caplog)
    body = {"queue": "mail", "expire_after": "0s"}
    job_id = (await server.call("POST", f"{API}/enqueue", body)).json["job_id"]
    state = ""
    while state != "dead":
        state = (await server.call("GET", f"{API}/jobs/{job_id}")).json["state"]
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(server.task, 10)


def test_address_in_use_is_reported(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BindError, match=f"Cannot listen on {bind}.*--bind"):
            serve(settings(tmp_path, bind=bind))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(-2, "Name or service not known"), "neither an address nor a name"),
        (OSError(errno.EADDRINUSE, "Address already in use"), "a server already running"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign"), "has no such address"),
        (PermissionError(errno.EACCES, "Permission denied"), "Only privileged users"),
        (OSError(errno.ENODEV, "No such device"), "cannot be used"),
    ],
)
def test_reason_of_a_failed_bind_is_given(error: OSError, reason: str) -> None:
    message = str(BindError("x:80", error))
    assert reason in message
    assert "CORVO_BIND" in message
    assert ("already running" in message) is (error.errno == errno.EADDRINUSE)


@pytest.mark.parametrize("bind", ["256.1.1.1:80", "no-such-host.invalid:80"])
def test_invalid_address_is_reported(tmp_path: Path, bind: str) -> None:
    with pytest.raises(BindError, match="Cannot listen on"):
        serve(settings(tmp_path, bind=bind))


def test_data_dir_is_unlocked_if_the_address_is_in_use(tmp_path: Path) -> None:
    with pytest.raises(BindError):
        serve(settings(tmp_path, bind="256.1.1.1:80"))
    with pytest.raises(BindError):
        serve(settings(tmp_path, bind="256.1.1.1:80"))


async def test_terminal_shows_no_advice_of_the_framework(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    server = run(tmp_path, caplog)
    await server.address()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(server.task, 10)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
async def test_ipv6_address_is_shown_in_brackets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = run(tmp_path, caplog, bind="[::1]:0")
    host, _ = await server.address()
    assert host == "::1"
    assert (await server.call("GET", "/healthz")).status == 200
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(server.task, 10)


def test_serve_runs_until_a_signal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class StopWhenListening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "listening on" in record.getMessage():
                os.kill(os.getpid(), signal.SIGTERM)

    handler = StopWhenListening()
    logging.getLogger().addHandler(handler)
    try:
        serve(settings(tmp_path))
    finally:
        logging.getLogger().removeHandler(handler)
    assert "stopped: the store is closed" in caplog.text


@pytest.mark.parametrize("name", ["SO_KEEPALIVE", *dict(_KEEP_ALIVE)])
def test_accepted_connections_are_kept_alive(name: str) -> None:
    option = getattr(socket, name, None)
    if option is None:
        pytest.skip(f"this system has no {name}")
    level = socket.SOL_SOCKET if name == "SO_KEEPALIVE" else socket.IPPROTO_TCP
    with bind("127.0.0.1:0") as listener, socket.socket() as client:
        listener.listen()
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(level, option) == dict(_KEEP_ALIVE).get(name, 1)


def test_limit_of_open_files_is_raised_for_the_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
        assert raise_file_limit(1000) == 1000
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_too_few_files_for_the_connections_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_module, "raise_file_limit", lambda _: 7)
    server = run(tmp_path, caplog)
    assert (await server.call("GET", "/healthz")).status == 200
    assert any("allows 7 connections, not --max-connections 10000" in line for line in server.log)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(server.task, 10)


def test_loop_without_uvloop_is_an_asyncio_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_loop()
    assert type(loop).__module__.startswith("asyncio")
    loop.close()
