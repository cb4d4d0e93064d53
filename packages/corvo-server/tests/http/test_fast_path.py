"""The fast path answers plain requests with the same bytes as Sanic."""

import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from corvo_schema.states import JobState
from corvo_server.app import build_http
from corvo_server.engine.engine import Engine
from corvo_server.http import request_id
from corvo_server.http.endpoint import App
from corvo_server.http.fast_path import FastPathProtocol
from corvo_server.http.http1 import StrictHttp, StrictProtocol
from corvo_server.http_server import bind, start_http
from corvo_server.settings import Settings
from server_support.bench import Bench, turns, until
from server_support.http import API
from server_support.in_memory import MemoryConnection

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY = "job_00000000000000000000000000"
LARGEST = 1024
"""Maximum size of a body in bytes."""
FETCH = {"queues": ["empty"], "worker_id": "w", "timeout": 0}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(bench: Bench) -> AsyncIterator[App]:
    """The HTTP application over the engine of `bench`."""
    settings = Settings(bind="127.0.0.1:0", max_body_bytes=LARGEST)
    app, requests = build_http(settings, bench.engine)
    app.config.TOUCHUP = False  # it would rewrite Sanic's methods for the whole process
    http = await start_http(app, bind("127.0.0.1:0"))
    yield app
    http.close()
    await http.wait_closed()
    requests.flush()


@pytest.fixture(autouse=True, scope="module")
def _ids_of_one_length() -> None:
    """Make all request ids equally long: error bodies contain them, and the length is compared."""
    request_id._numbers = itertools.count(10**6)


@pytest.fixture
def read_by_sanic(monkeypatch: pytest.MonkeyPatch) -> list[StrictHttp]:
    """List of the connections on which Sanic read a head."""
    reads: list[StrictHttp] = []
    read: Callable[[StrictHttp], Awaitable[None]] = StrictHttp.http1_request_header

    async def note(http: StrictHttp) -> None:
        reads.append(http)
        await read(http)

    monkeypatch.setattr(StrictHttp, "http1_request_header", note)
    return reads


def masked(answers: bytes) -> bytes:
    """Return replies without times, ids, and the header that only an unmodified Sanic sends."""
    answers = answers.replace(b"alt-svc: \r\n", b"")
    answers = re.sub(rb"job_[0-9A-Z]{26}", b"JOB", answers)
    answers = re.sub(rb'"lease_token":"\w+"', b"TOKEN", answers)
    return re.sub(rb"[0-9a-f]{12}-[0-9]{7}", b"REQUEST", answers)


def post(path: str, body: Any, *lines: str, first: str = "POST {} HTTP/1.1") -> bytes:
    """Return the bytes of a request, with additional lines in its head."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    head = [
        first.format(API + path),
        "host: localhost",
        "content-type: application/json",
        f"content-length: {len(data)}",
        *lines,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


async def answers_of(kind: type[StrictProtocol], app: App, *pieces: bytes) -> bytes:
    """Return the bytes received on a new connection after `pieces` were sent."""
    connection = MemoryConnection(kind, app)
    await connection.send(*pieces)
    connection.hang_up()
    return masked(connection.answers)


# Plain requests


SAME = {
    "enqueue": post("/enqueue", {"queue": "s", "payload": {"é": [1]}}),
    "enqueue with id": post("/enqueue", {"queue": "s"}, "x-request-id: mine"),
    "enqueue with an id that is refused": post("/enqueue", {"queue": "s"}, "x-request-id: a b"),
    "enqueue batch": post("/enqueue/batch", {"jobs": [{"queue": "s"}, {"queue": "s"}]}),
    "batch in vain": post("/enqueue/batch", {"jobs": [{"queue": ""}]}),
    "fetch in vain": post("/fetch", FETCH),
    "fetch batch in vain": post("/fetch/batch", FETCH),
    "ack of nobody": post(f"/ack/{NOBODY}", {}),
    "ack of any name": post("/ack/a-b_c", {}),
    "fail of nobody": post(f"/fail/{NOBODY}", {"error": "x"}),
    "release of nobody": post(f"/release/{NOBODY}", {}),
    "acks": post("/ack/batch", {"acks": [{"job_id": NOBODY}]}),
    "fails": post("/fail/batch", {"fails": [{"job_id": NOBODY, "error": "x"}]}),
    "releases": post("/release/batch", {"releases": [{"job_id": NOBODY}]}),
    "heartbeat": post("/heartbeat", {"jobs": {NOBODY: {}}}),
    "no JSON": post("/enqueue", b"{"),
    "no UTF-8": post("/enqueue", b'{"queue": "\xff"}'),
    "no body": post("/enqueue", b""),
    "wrong field": post("/enqueue", {"queue": 5}),
    "another type": post("/enqueue", {"queue": "s"}).replace(b"application/json", b"text/plain"),
    "no type": post("/enqueue", {"queue": "s"}).replace(b"content-type", b"x-type"),
    "kept alive": post("/enqueue", {"queue": "s"}, "Connection: Keep-Alive"),
    "a form without a body": post("/ack/a", b"").replace(b"application/json", b"text/plain"),
    "another type of an ack": post("/ack/a", {}).replace(b"application/json", b"text/plain"),
    "no ASCII": post("/enqueue", {"queue": "s"}, "x-name: \N{SNOWMAN}"),
    "as large as may be": post("/enqueue", {"queue": "s", "payload": "x" * (LARGEST - 26)}),
    "too large": post("/enqueue", {"queue": "s", "payload": "x" * LARGEST}),
}


@pytest.mark.parametrize("name", SAME)
async def test_plain_request_is_answered_as_sanic_does(
    app: App, read_by_sanic: list[StrictHttp], name: str
) -> None:
    expected = await answers_of(StrictProtocol, app, SAME[name])
    assert expected.startswith(b"HTTP/1.1 ")
    read_by_sanic.clear()
    assert await answers_of(FastPathProtocol, app, SAME[name]) == expected
    assert read_by_sanic == []
    head, _, body = SAME[name].partition(b"\r\n\r\n")
    assert await answers_of(FastPathProtocol, app, head + b"\r\n\r\n", body) == expected


async def test_life_of_a_job_is_answered_as_sanic_does(app: App) -> None:
    async def live(kind: type[StrictProtocol], queue: str) -> bytes:
        connection = MemoryConnection(kind, app)
        await connection.send(post("/enqueue", {"queue": queue}))
        await connection.send(post("/fetch", {**FETCH, "queues": [queue]}))
        found = re.search(rb'"job_id":"(\w+)".*"lease_token":"(\w+)"', connection.answers)
        assert found is not None
        job_id, token = found[1].decode(), found[2].decode()
        await connection.send(post(f"/ack/{job_id}", {"lease_token": "another"}))
        await connection.send(post(f"/ack/{job_id}", {"lease_token": token}))
        await connection.send(post(f"/ack/{job_id}", {"lease_token": "late"}))
        connection.hang_up()
        return masked(connection.answers).replace(queue.encode(), b"QUEUE")

    answers = await live(StrictProtocol, "life-1")
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"201", b"200", b"409", b"200", b"409"]
    assert await live(FastPathProtocol, "life-2") == answers


# Requests that are not plain

JOB = {"queue": "s"}
SPECIAL = {
    "in strict mode": post("/enqueue?strict=true", {"queue": "s", "x": 1}),
    "with an encoded id": post("/ack/a%20b", {}),
    "with an id of other characters": post("/ack/a:b", {}),
    "to a place below": post("/ack/a/b", {}),
    "with a slash": post("/enqueue/", JOB),
    "with no id": post("/ack/", {}),
    "to another place": post("/queues/s/pause", {}),
    "of another method": post("/enqueue", JOB, first="PUT {} HTTP/1.1"),
    "of another case": post("/enqueue", JOB, first="post {} HTTP/1.1"),
    "of HTTP/1.0": post("/enqueue", JOB, first="POST {} HTTP/1.0"),
    "of HTTP/3": post("/enqueue", JOB, first="POST {} HTTP/3"),
    "with a word more": post("/enqueue", JOB, first="POST {} HTTP/1.1 x"),
    "with a word less": post("/enqueue", JOB, first="POST {}"),
    "with a blank more": post("/enqueue", JOB, first="POST  {} HTTP/1.1"),
    "after a blank line": b"\r\n" + post("/enqueue", JOB),
    "that closes": post("/enqueue", JOB, "connection: close"),
    "that closes and does not": post("/enqueue", JOB, "connection: close, keep-alive"),
    "that expects": post("/enqueue", JOB, "expect: 100-continue"),
    "that expects too much": post("/enqueue", JOB, "expect: 200-ok"),
    "that upgrades": post("/enqueue", JOB, "upgrade: h2c"),
    "with two lengths": post("/enqueue", JOB, "content-length: 2"),
    "with a length and chunks": post("/enqueue", JOB, "transfer-encoding: chunked"),
    "without a length": post("/enqueue", b"").replace(b"content-length: 0", b"x: y"),
    "with a signed length": post("/enqueue", JOB).replace(b"length: 13", b"length: +13"),
    "with blanks behind its length": post("/enqueue", JOB).replace(b"13\r\n", b"13 \r\n"),
    "with a length of 5,000 digits": post("/enqueue", JOB).replace(b": 13", b": " + b"1" * 5000),
    "with a blank before a colon": post("/enqueue", JOB).replace(b"length:", b"length :"),
    "with a line without a colon": post("/enqueue", JOB, "what"),
    "with chunks": post("/enqueue", b"d\r\n" + orjson.dumps(JOB) + b"\r\n0\r\n\r\n").replace(
        b"content-length: 23", b"transfer-encoding: chunked"
    ),
    "of its own page": post("/enqueue", JOB, "origin: http://localhost"),
    "of another page": post("/enqueue", JOB, "Origin: https://evil.example"),
    "of another site": post("/enqueue", JOB, "Sec-Fetch-Site: cross-site"),
    "of the same site": post("/enqueue", JOB, "sec-fetch-site: same-origin"),
    "for another host": post("/enqueue", JOB).replace(b"localhost", b"evil.example"),
    "for two hosts": post("/enqueue", JOB, "Host: evil.example"),
    "with a large head": post("/enqueue", JOB, "x: " + "y" * 9000),
}


@pytest.mark.parametrize("name", SPECIAL)
async def test_special_request_is_served_by_sanic(
    app: App, read_by_sanic: list[StrictHttp], name: str
) -> None:
    expected = await answers_of(StrictProtocol, app, SPECIAL[name])
    read_by_sanic.clear()
    assert await answers_of(FastPathProtocol, app, SPECIAL[name]) == expected
    assert read_by_sanic


async def test_host_takes_the_fast_path_once_it_is_known(
    app: App, read_by_sanic: list[StrictHttp]
) -> None:
    request = post("/enqueue", JOB).replace(b"localhost", b"LocalHost:4321")
    first = await answers_of(FastPathProtocol, app, request)
    assert len(read_by_sanic) == 1
    assert await answers_of(FastPathProtocol, app, request) == first
    assert len(read_by_sanic) == 1


async def test_fast_path_is_off_if_middleware_is_installed(
    bench: Bench, read_by_sanic: list[StrictHttp]
) -> None:
    settings = Settings(bind="127.0.0.1:0", cors_origins=["*"])
    engine = Engine(bench.store, clock=bench.clock)
    app, _ = build_http(settings, engine)
    app.config.TOUCHUP = False
    http = await start_http(app, bind("127.0.0.1:0"))
    answers = await answers_of(FastPathProtocol, app, post("/enqueue", JOB, "origin: https://a"))
    http.close()
    assert b"access-control-allow-origin: *" in answers
    assert len(read_by_sanic) == 1


# Several requests on one connection


async def test_pipelined_requests_are_answered_in_order(app: App) -> None:
    plain = [request for name, request in SAME.items() if name != "too large"]
    stream = b"".join([*plain, SPECIAL["in strict mode"], *plain, SPECIAL["that closes"]])
    expected = await answers_of(StrictProtocol, app, stream + SAME["enqueue"])
    assert expected.count(b"HTTP/1.1 ") == 2 * len(plain) + 2
    assert await answers_of(FastPathProtocol, app, stream + SAME["enqueue"]) == expected


async def test_request_behind_a_waiting_fetch_is_answered_after_it(bench: Bench, app: App) -> None:
    connection = MemoryConnection(FastPathProtocol, app)
    waiting = {**FETCH, "queues": ["behind"], "timeout": 30}
    connection.protocol.data_received(post("/fetch", waiting))
    await until(lambda: bench.engine.notifier.waiting == 1)
    connection.protocol.data_received(post("/enqueue", {"queue": "s"}))
    await turns()
    assert connection.answers == b""
    assert not connection.protocol.close_if_idle()
    await bench.enqueue("behind")
    await connection.settle()
    assert re.findall(rb"HTTP/1.1 (\d+)", connection.answers) == [b"200", b"201"]
    assert connection.protocol.close_if_idle()


async def test_fetch_of_a_disconnected_client_is_withdrawn(bench: Bench, app: App) -> None:
    connection = MemoryConnection(FastPathProtocol, app)
    connection.protocol.data_received(post("/fetch", {**FETCH, "queues": ["gone"], "timeout": 30}))
    await until(lambda: bench.engine.notifier.waiting == 1)
    await until(lambda: bench.store.backlog == 0)  # the first claim has found no job
    connection.hang_up()
    await until(lambda: bench.engine.notifier.waiting == 0)
    assert await bench.state(await bench.enqueue("gone")) is JobState.PENDING
    assert connection.answers == b""


@pytest.mark.parametrize("kind", [StrictProtocol, FastPathProtocol])
async def test_request_that_takes_too_long_is_refused(
    bench: Bench, app: App, kind: type[StrictProtocol]
) -> None:
    connection = MemoryConnection(kind, app)
    connection.protocol.data_received(post("/fetch", {**FETCH, "queues": ["slow"], "timeout": 30}))
    await until(lambda: bench.engine.notifier.waiting == 1)
    connection.protocol.check_timeouts()
    await turns()
    assert connection.answers == b""
    connection.protocol.response_timeout = -1
    connection.protocol.check_timeouts()
    await until(connection.transport.is_closing)
    assert bench.engine.notifier.waiting == 0
    assert connection.answers.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in connection.answers


@pytest.mark.parametrize("kind", [StrictProtocol, FastPathProtocol])
async def test_outcome_of_a_write_that_takes_too_long_is_unknown(
    bench: Bench, app: App, kind: type[StrictProtocol]
) -> None:
    connection = MemoryConnection(kind, app)
    with bench.kit.hold_commits(bench.store):
        connection.protocol.data_received(post("/enqueue", JOB))
        await turns()
        connection.protocol.response_timeout = -1
        connection.protocol.check_timeouts()
        await until(connection.transport.is_closing)
    assert connection.answers.startswith(b"HTTP/1.1 500 ")
    assert b'"code":"OUTCOME_UNKNOWN"' in connection.answers


async def test_reply_waits_while_the_client_does_not_read(app: App) -> None:
    connection = MemoryConnection(FastPathProtocol, app)
    await turns()
    connection.protocol.pause_writing()
    connection.protocol.data_received(post("/fetch", FETCH))
    connection.protocol.data_received(post("/enqueue", JOB))
    await until(lambda: connection.protocol.http.response is not None)
    await turns()
    assert connection.answers == b""
    connection.protocol.resume_writing()
    await connection.settle()
    assert re.findall(rb"HTTP/1.1 (\d+)", connection.answers) == [b"204", b"201"]


async def test_reply_does_not_wait_for_the_metrics(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = MemoryConnection(FastPathProtocol, app)
    there: list[bytes] = []

    def note(request: object, response: object) -> None:
        there.append(connection.answers)

    monkeypatch.setattr(app.ctx, "observe", note)
    await connection.send(post("/enqueue", JOB))
    (answer,) = there
    assert answer.startswith(b"HTTP/1.1 201 ")


REQUESTS = st.sampled_from([*SAME.values(), *SPECIAL.values()])
PLAIN = st.sampled_from([*SAME.values()])


@settings(max_examples=150, deadline=None)
@given(stream=st.lists(PLAIN | REQUESTS, min_size=1, max_size=4).map(b"".join), data=st.data())
async def test_replies_do_not_depend_on_how_the_stream_is_split(
    app: App, stream: bytes, data: st.DataObject
) -> None:
    places = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=6)))
    cuts = [0, *places, len(stream)]
    pieces = [stream[begin:end] for begin, end in itertools.pairwise(cuts)]
    expected = await answers_of(StrictProtocol, app, *pieces)
    assert await answers_of(FastPathProtocol, app, *pieces) == expected


@pytest.mark.parametrize("kind", [StrictProtocol, FastPathProtocol])
async def test_end_of_a_chunked_body_may_come_later(app: App, kind: type[StrictProtocol]) -> None:
    chunks = SPECIAL["with chunks"]
    expected = await answers_of(StrictProtocol, app, chunks)
    assert await answers_of(kind, app, chunks[:-2], chunks[-2:]) == expected


NOISE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8)
LINES = st.tuples(
    st.sampled_from(
        [
            "x-a",
            "Content-Length",
            "Host",
            "origin",
            "connection",
            "EXPECT",
            "Transfer-Encoding",
            "upgrade",
            " a",
            "",
        ]
    ),
    st.sampled_from([": ", ":", " : ", ""]),
    st.sampled_from(
        ["13", "localhost", "keep-alive", "Close", "100-continue", "chunked", "websocket"]
    )
    | NOISE,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(LINES, max_size=4), path=st.sampled_from(["/enqueue", "/ack/"]), name=NOISE)
async def test_any_head_is_read_as_sanic_does(
    app: App, lines: list[str], path: str, name: str
) -> None:
    request = post(path + (name if path == "/ack/" else ""), JOB, *lines)
    expected = await answers_of(StrictProtocol, app, request)
    assert await answers_of(FastPathProtocol, app, request) == expected
