"""Connections of our own behave like those of httpx. The server returns planned bytes.

Each test runs with the sync and the async sender, and with httpx where it behaves the same.
"""

import asyncio
import contextlib
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from corvo_client import (
    AsyncClient,
    CallTimedOut,
    Client,
    ConnectionFailed,
    ConnectionLost,
    CorvoError,
    InvalidSetting,
    RetryPolicy,
    calls,
)
from corvo_client._answer import Answer
from corvo_client._async import connection as async_connection
from corvo_client._async.direct import AsyncDirect
from corvo_client._async.through_httpx import AsyncThroughHttpx
from corvo_client._async.transport import AsyncTransport
from corvo_client._batch_endpoints import ENQUEUES
from corvo_client._call import Call
from corvo_client._http1 import BrokenAnswer, Reading
from corvo_client._origin import Origin
from corvo_client._retry import NO_RETRIES
from corvo_client._sync import connection as sync_connection
from corvo_client._sync.direct import Direct
from corvo_client._sync.through_httpx import ThroughHttpx
from corvo_client._sync.transport import Transport
from corvo_client.worker import Worker

CALL: Call[str] = Call("POST", "/x?a=b c", bytes.decode, b'{"a":1}')
GET: Call[str] = Call("GET", "/y", bytes.decode)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Thing: 1\r\n\r\nok"
HANG_UP, SILENCE = b"", b"\0"


class RawServer:
    """Sends the next bytes of `script` for each request, then closes the connection if planned.

    `HANG_UP` closes the connection without an answer. `SILENCE` sends no answer.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self._open: list[socket.socket] = []
        self.url = f"{'https' if context else 'http'}://localhost:{self._listener.getsockname()[1]}"
        self.script: list[tuple[bytes, bool]] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.came, self.closed = threading.Semaphore(0), threading.Semaphore(0)
        """Semaphores: released for each request, and for each closed connection."""
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def answer(self, *answers: bytes, closes: bool = False) -> None:
        """Add answers to the script."""
        self.script += [(answer, closes) for answer in answers]

    def close(self) -> None:
        """Stop the server and close all connections."""
        for opened in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._begin(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            while request := _read_request(connection):
                self.requests.append(request)
                self.came.release()
                answer, closes = self.script.pop(0)
                if answer != SILENCE:
                    connection.sendall(answer)
                if closes or answer == HANG_UP:
                    break
        except OSError:
            pass  # the client has closed the connection
        finally:
            connection.close()
            self.closed.release()


def _read_request(connection: socket.socket) -> bytes:
    request = b""
    while piece := connection.recv(65_536):
        request += piece
        head, end, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if end and len(body) == (int(length[1]) if length else 0):
            return request
    return b""


@pytest.fixture
def raw() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.close()


class Way:
    """A sender of any kind with a blocking interface."""

    def __init__(self, make: Callable[[Origin], Any]) -> None:
        self._make = make
        self._runner = asyncio.Runner()
        self._way: Any = None

    def open(self, url: str, **options: Any) -> "Way":
        """Create the sender for a server."""
        self._way = self._make(Origin(url, **options))
        return self

    def send(self, call: Call[Any]) -> Answer:
        """Send one call."""
        answer: Answer = self._finished(self._way.send(call))
        return answer

    def close(self) -> None:
        """Close the sender and its event loop."""
        if self._way is not None:
            self._finished(self._way.close())
        self._runner.close()

    def _finished(self, result: Any) -> Any:
        return self._runner.run(result) if asyncio.iscoroutine(result) else result


DIRECT = {
    "sync": lambda origin: Direct(origin, 10),
    "async": lambda origin: AsyncDirect(origin, 10),
}
THROUGH_HTTPX = {
    "httpx-sync": lambda origin: ThroughHttpx(origin, None, is_for_polls=False),
    "httpx-async": lambda origin: AsyncThroughHttpx(origin, None, is_for_polls=False),
}


@pytest.fixture(params=DIRECT | THROUGH_HTTPX)
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    way = Way((DIRECT | THROUGH_HTTPX)[request.param])
    yield way
    way.close()


@pytest.fixture(params=DIRECT)
def direct(request: pytest.FixtureRequest) -> Iterator[Way]:
    way = Way(DIRECT[request.param])
    yield way
    way.close()


def test_request_is_written_and_answer_read(way: Way, raw: RawServer) -> None:
    raw.answer(OK, OK)
    way.open(raw.url + "/prefix", api_key="k", headers={"X-Team": "a"})
    for call in (CALL, GET):
        status, headers, body = way.send(call)
        assert (status, headers["x-thing"], body) == (200, "1", b"ok")
    post, get = raw.requests
    head, _, body = post.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    assert (line, body) == (b"POST /prefix/x?a=b%20c HTTP/1.1", b'{"a":1}')
    assert {b"Authorization: Bearer k", b"X-Team: a", b"Content-Length: 7"} < set(fields)
    assert b"Host: " + raw.url.removeprefix("http://").encode() in fields
    assert b"Content-Type: application/json" in fields
    assert get.startswith(b"GET /prefix/y HTTP/1.1\r\n")
    assert b"Content-Length" not in get
    assert raw.connections == 1


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 308 Permanent\r\nLocation: /z\r\nContent-Length: 0\r\n\r\n", 308, b""),
        (b"HTTP/1.1 503 Not Now\r\nContent-Length: 3\r\n\r\nnot", 503, b"not"),
        (b"HTTP/1.1 100 Go On\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 103 Hint\r\nLink: </a>\r\n\r\n" + OK, 200, b"ok"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: 1\r\n\r\n",
            200,
            b"abcde",
        ),
    ],
    ids=["no-body", "redirect", "refusal", "continue", "hints", "chunks"],
)
def test_answers_of_each_kind_leave_the_connection_usable(
    way: Way, raw: RawServer, answer: bytes, status: int, body: bytes
) -> None:
    raw.answer(answer, OK)
    way.open(raw.url)
    told = way.send(CALL)
    assert (told.status, told.body) == (status, body)
    assert way.send(CALL).body == b"ok"
    assert raw.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nto the end",
        b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nto the end",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nto the end",
    ],
    ids=["no-length", "http-1.0", "close"],
)
def test_connection_that_ends_with_its_answer_is_not_reused(
    way: Way, raw: RawServer, answer: bytes
) -> None:
    raw.answer(answer, closes=True)
    raw.answer(OK)
    way.open(raw.url)
    assert way.send(CALL).body == b"to the end"
    assert way.send(CALL).body == b"ok"
    assert raw.connections == 2


def test_connection_that_the_server_has_closed_is_not_reused(way: Way, raw: RawServer) -> None:
    raw.answer(OK, closes=True)
    raw.answer(OK)
    way.open(raw.url)
    way.send(CALL)
    assert raw.closed.acquire(timeout=10)
    assert way.send(CALL).body == b"ok"
    assert raw.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        HANG_UP,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
        b"HTTP/1.1 100 Go On\r\n\r\n",
        b"220 smtp.example ready\r\n",
    ],
    ids=["nothing", "short", "chunk", "interim", "smtp"],
)
def test_incomplete_answer_is_an_error(way: Way, raw: RawServer, answer: bytes) -> None:
    raw.answer(answer, closes=True)
    raw.answer(OK)
    way.open(raw.url)
    with pytest.raises(ConnectionLost, match=r"POST http://.*/x.*The call may have taken effect"):
        way.send(CALL)
    assert way.send(CALL).body == b"ok"


def test_silence_times_out(way: Way, raw: RawServer) -> None:
    raw.answer(SILENCE, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", OK)
    way.open(raw.url, read_timeout=0.05)
    for _ in range(2):
        with pytest.raises(CallTimedOut, match=r"no answer within 0.05 s. The call may have"):
            way.send(CALL)
    assert way.send(replace(CALL, waits=30.0)).body == b"ok"
    assert raw.connections == 3


def test_an_attempt_of_a_prompt_call_is_limited(way: Way, raw: RawServer) -> None:
    raw.answer(SILENCE)
    way.open(raw.url)
    with pytest.raises(CallTimedOut, match=r"no answer within 0.05 s. The call may have"):
        way.send(replace(CALL, within=0.05))


@pytest.mark.parametrize("policy", [RetryPolicy(max_elapsed=0), NO_RETRIES, RetryPolicy()])
def test_a_silent_server_does_not_hold_a_producer(
    policy: RetryPolicy, raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corvo_client._retry._LEAST_SECONDS", 0.05)
    policy = replace(policy, max_elapsed=min(policy.max_elapsed, 0.05))
    raw.answer(*[SILENCE] * 20)
    worker = Worker(raw.url, retry=policy)

    @worker.task("q")
    def work() -> None: ...

    async def enqueue_at_once() -> None:
        async with AsyncClient(raw.url, retry=policy) as client:
            enqueues = [client.enqueue("q", n) for n in range(3)]
            errors = await asyncio.gather(*enqueues, return_exceptions=True)
        for error in errors:
            assert isinstance(error, CallTimedOut)
            assert "no answer within 0.0" in str(error)

    asyncio.run(enqueue_at_once())
    with Client(raw.url, retry=policy) as client:
        for call in (
            lambda: client.enqueue("q", {}),
            lambda: client.send(calls.exact(calls.enqueue(work.request()))),
            work.enqueue,
        ):
            with pytest.raises(CallTimedOut, match=r"enqueue: no answer within 0\.0\d+ s"):
                call()


def test_calls_that_take_long_are_not_limited_by_the_policy() -> None:
    request = calls.enqueue_request("q", {})
    long = [
        calls.enqueue_batch([request], None),
        calls.bulk("retry", filters={}),
        calls.search(),
        calls.clear_queue("q"),
        calls.delete_queue("q"),
    ]
    assert not any(call.prompt for call in long)
    one = calls.enqueue(request)
    assert one.prompt
    assert ENQUEUES.join([one, one]).prompt
    assert not ENQUEUES.join([one, replace(one, prompt=False)]).prompt


def test_error_of_a_refused_connection(way: Way) -> None:
    with socket.socket() as nobody:  # bound to a port, but not listening
        nobody.bind(("127.0.0.1", 0))
        way.open(f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(ConnectionFailed, match=r"cannot connect to http://127.*running"):
            way.send(CALL)


def test_error_of_an_unknown_host_name(way: Way) -> None:
    with pytest.raises(ConnectionFailed, match=r"cannot connect to http://nowhere\.invalid"):
        way.open("http://nowhere.invalid").send(CALL)


def test_surplus_bytes_are_not_read_as_an_answer(direct: Way, raw: RawServer) -> None:
    raw.answer(OK + OK.replace(b"ok", b"ko"), OK)
    direct.open(raw.url)
    assert direct.send(CALL).body == b"ok"
    assert direct.send(CALL).body == b"ok"
    assert raw.connections == 2


def test_old_connection_is_not_reused(
    direct: Way, raw: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.answer(OK, OK)
    direct.open(raw.url)
    direct.send(CALL)
    for module in (sync_connection, async_connection):
        monkeypatch.setattr(module, "KEEPALIVE_SECONDS", -1.0)
    assert direct.send(CALL).body == b"ok"
    assert raw.connections == 2


def test_connection_with_an_unexpected_answer_is_not_reused(direct: Way, raw: RawServer) -> None:
    raw.answer(OK, OK)
    direct.open(raw.url)
    direct.send(CALL)
    raw._open[0].sendall(OK.replace(b"ok", b"ko"))
    assert direct.send(CALL).body == b"ok"
    assert raw.connections == 2


def test_next_server_is_used_if_one_fails(direct: Way, raw: RawServer) -> None:
    other = RawServer()
    refusal = b"HTTP/1.1 503 Not Now\r\nContent-Length: 0\r\n\r\n"
    raw.answer(OK, refusal, OK)
    other.answer(OK, HANG_UP)
    direct.open(f"{raw.url},{other.url}")
    direct._way._origin._at = 0
    statuses = [direct.send(CALL).status for _ in range(3)]
    with pytest.raises(ConnectionLost):
        direct.send(CALL)
    assert [*statuses, direct.send(CALL).status] == [200, 503, 200, 200]
    assert (raw.connections, other.connections) == (1, 1)
    other.close()


def test_each_thread_has_a_connection_up_to_the_limit(raw: RawServer) -> None:
    raw.answer(*[OK] * 200)
    direct = Direct(Origin(raw.url), 3)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(direct.send, [CALL] * 200))
    assert {answer.body for answer in answers} == {b"ok"}
    assert 1 <= raw.connections <= 3
    direct.close()


async def test_each_task_has_a_connection_up_to_the_limit(raw: RawServer) -> None:
    raw.answer(*[OK] * 200)
    direct = AsyncDirect(Origin(raw.url), 3)
    answers = await asyncio.gather(*[direct.send(CALL) for _ in range(200)])
    assert {answer.body for answer in answers} == {b"ok"}
    assert 1 <= raw.connections <= 3
    await direct.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.11 has no eager tasks")
async def test_connection_opens_with_eager_tasks(raw: RawServer) -> None:
    raw.answer(OK)
    factory = vars(asyncio)["eager_task_factory"]
    asyncio.get_running_loop().set_task_factory(factory)
    direct = AsyncDirect(Origin(raw.url), None)
    assert (await direct.send(CALL)).body == b"ok"
    await direct.close()


async def test_waiting_for_a_connection_times_out(raw: RawServer) -> None:
    raw.answer(SILENCE, SILENCE)
    origin = Origin(raw.url, read_timeout=0.05)
    direct, other = AsyncDirect(origin, 1), Direct(origin, 0)
    first = asyncio.create_task(direct.send(Call("GET", "/", bytes.decode, waits=30.0)))
    assert await asyncio.to_thread(raw.came.acquire, timeout=10)
    with pytest.raises(ConnectionFailed, match="connections stayed busy"):
        await direct.send(CALL)
    first.cancel()
    with pytest.raises(ConnectionFailed, match="connections stayed busy"):
        await asyncio.to_thread(other.send, CALL)
    await direct.close()


async def test_cancelled_caller_closes_its_connection(raw: RawServer) -> None:
    raw.answer(SILENCE)
    direct = AsyncDirect(Origin(raw.url), None)
    call = asyncio.create_task(direct.send(CALL))
    assert await asyncio.to_thread(raw.came.acquire, timeout=10)
    call.cancel()
    assert await asyncio.to_thread(raw.closed.acquire, timeout=10)
    await direct.close()


async def test_busy_connection_is_closed_after_its_answer(raw: RawServer) -> None:
    direct = AsyncDirect(Origin(raw.url), None)
    raw.answer(OK)
    call = asyncio.create_task(direct.send(CALL))
    await asyncio.sleep(0)
    await direct.close()
    assert (await call).body == b"ok"
    assert await asyncio.to_thread(raw.closed.acquire, timeout=10)


async def test_repeatable_call_survives_a_restart_of_the_server(raw: RawServer) -> None:
    quick = RetryPolicy(first_delay=0.001, longest_delay=0.001)
    reply = b'{"server_version":"1","api_version":"1"}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(reply), reply)
    raw.answer(HANG_UP, answer, HANG_UP, answer)
    with Client(raw.url, retry=quick) as client:
        assert await asyncio.to_thread(lambda: client.info().server_version) == "1"
    async with AsyncClient(raw.url, retry=quick) as other:
        assert (await other.info()).server_version == "1"


def test_proxy_uses_httpx() -> None:
    origin = Origin("http://h", proxy="http://p:1")
    assert isinstance(Transport(origin)._calls, ThroughHttpx)
    assert isinstance(AsyncTransport(origin)._polls, AsyncThroughHttpx)
    assert isinstance(Transport(Origin("http://h"))._calls, Direct)
    assert isinstance(AsyncTransport(Origin("http://h"))._polls, AsyncDirect)


def test_header_with_a_line_break_is_rejected() -> None:
    with pytest.raises(ValueError, match="line breaks"):
        Origin("http://h", headers={"X-A": "b\r\nHost: evil"})


def test_reading_accepts_single_bytes() -> None:
    reading = Reading()
    for byte in b"HTTP/1.1 100 Go On\r\n\r\n" + OK:
        assert not reading.is_complete
        reading.feed(bytes([byte]))
    assert reading.answer == Answer(200, {"content-length": "2", "x-thing": "1"}, b"ok")
    assert reading.keeps_alive


def test_reading_rejects_two_lengths() -> None:
    with pytest.raises(BrokenAnswer, match="the answer is not HTTP"):
        Reading().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a new certificate authority."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> Iterator[RawServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    server = RawServer(context)
    yield server
    server.close()


def test_server_certificate_is_verified(way: Way, tls: RawServer, authority: trustme.CA) -> None:
    tls.answer(OK, OK)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    way.open(tls.url, verify=trusting)
    assert [way.send(CALL).body for _ in range(2)] == [b"ok", b"ok"]
    assert tls.connections == 1


def test_unknown_certificate_is_rejected_unless_verify_is_false(way: Way, tls: RawServer) -> None:
    with pytest.raises(CorvoError, match=r"cannot connect to https.*certificate verify failed"):
        way.open(tls.url).send(CALL)
    tls.answer(OK)
    assert way.open(tls.url, verify=False).send(CALL).body == b"ok"


@pytest.fixture
def authority_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.mark.parametrize("is_variable", [False, True])
def test_authority_comes_from_a_file(
    way: Way,
    tls: RawServer,
    authority_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_variable: bool,
) -> None:
    tls.answer(OK)
    if is_variable:
        monkeypatch.setenv("CORVO_CA_FILE", str(authority_file))
        way.open(tls.url)
    else:
        monkeypatch.setenv("CORVO_CA_FILE", "/no/such/file")
        way.open(tls.url, ca_file=str(authority_file))
    assert way.send(CALL).body == b"ok"


def test_refused_certificate_comes_with_advice(way: Way, tls: RawServer) -> None:
    with pytest.raises(CorvoError, match="Name the file of the authority with CORVO_CA_FILE"):
        way.open(tls.url).send(CALL)


def test_client_shows_its_certificate(
    way: Way,
    authority: trustme.CA,
    authority_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server = RawServer(context)
    issued = authority.issue_cert("worker")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    monkeypatch.setenv("CORVO_CA_FILE", str(authority_file))
    monkeypatch.setenv("CORVO_CLIENT_CERT", str(cert))
    with pytest.raises(InvalidSetting, match="Name the file of the key with CORVO_CLIENT_KEY"):
        way.open(server.url)
    monkeypatch.setenv("CORVO_CLIENT_KEY", str(key))
    server.answer(OK)
    assert way.open(server.url).send(CALL).body == b"ok"
    server.close()


def test_files_that_cannot_be_used_are_named(
    authority_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing, empty = str(tmp_path / "none.pem"), tmp_path / "empty.pem"
    empty.write_text("hello")
    with pytest.raises(InvalidSetting, match=r"ca_file: cannot read .*none\.pem.*No such file"):
        Origin("https://h", ca_file=missing)
    with pytest.raises(InvalidSetting, match=r"ca_file: .*empty\.pem' has no certificates in PEM"):
        Origin("https://h", ca_file=str(empty))
    with pytest.raises(InvalidSetting, match="either `verify` or `ca_file`"):
        Origin("https://h", ca_file=str(authority_file), verify=False)
    monkeypatch.setenv("CORVO_CA_FILE", missing)
    with pytest.raises(InvalidSetting, match="CORVO_CA_FILE: cannot read"):
        Origin("https://h")
    Origin("http://h")  # needs no authorities
    monkeypatch.setenv("CORVO_CA_FILE", str(authority_file))
    monkeypatch.setenv("CORVO_CLIENT_CERT", missing)
    with pytest.raises(InvalidSetting, match=r"CORVO_CLIENT_CERT=.*cannot read the file"):
        Origin("https://h")
