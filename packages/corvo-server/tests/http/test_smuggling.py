"""Requests that parsers are known to read differently, on the fast path and on Sanic's.

The cases are differences between servers and proxies that were published as request smuggling. A
refused request gets 400, and the server closes the connection without reading another request.
"""

import re
from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio

from corvo_server.app import build_http
from corvo_server.http.endpoint import App
from corvo_server.http.fast_path import FastPathProtocol
from corvo_server.http.http1 import StrictProtocol
from corvo_server.http_server import bind, start_http
from corvo_server.settings import Settings
from server_support.bench import Bench, until
from server_support.in_memory import MemoryConnection

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = b'{"queue":"smuggling"}'
HIDDEN = b"POST /api/v1/queues/hidden/pause HTTP/1.1\r\nhost: localhost\r\n\r\n"
"""A request in the place where a parser of another opinion sees a body."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(bench: Bench) -> AsyncIterator[App]:
    """The HTTP application over the engine of `bench`."""
    app, requests = build_http(Settings(bind="127.0.0.1:0"), bench.engine)
    app.config.TOUCHUP = False  # it would rewrite Sanic's methods for the whole process
    http = await start_http(app, bind("127.0.0.1:0"))
    yield app
    http.close()
    await http.wait_closed()
    requests.flush()


def plain(*lines: bytes, first: bytes = b"POST /api/v1/enqueue HTTP/1.1") -> bytes:
    """Return a plain request with additional header lines before its length."""
    head = [
        first,
        b"host: localhost",
        b"content-type: application/json",
        *lines,
        b"content-length: %d" % len(BODY),
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + BODY


def sized(lines: bytes, body: bytes = BODY) -> bytes:
    """Return a request whose length is in `lines`."""
    return (
        b"POST /api/v1/enqueue HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"%b\r\n\r\n%b" % (lines, body)
    )


def chunked(body: bytes, line: bytes = b"Transfer-Encoding: chunked") -> bytes:
    """Return a request with a chunked body."""
    return sized(line, body)


WHOLE = b"15\r\n%b\r\n" % BODY
"""All of the body as a chunk."""

REFUSED: dict[str, bytes] = {
    # The length
    "blank before the colon": sized(b"Content-Length : 21"),
    "blank before the colon, and a length": plain(b"Content-Length : 5"),
    "tab before the colon": sized(b"Content-Length\t: 21"),
    "two lengths": plain(b"Content-Length: 5"),
    "two equal lengths": plain(b"Content-Length: 21"),
    "list of lengths": sized(b"Content-Length: 21, 21"),
    "length with a plus": sized(b"Content-Length: +21"),
    "length with a minus": sized(b"Content-Length: -21"),
    "length with an underscore": sized(b"Content-Length: 2_1"),
    "length in hex": sized(b"Content-Length: 0x15"),
    "length with a point": sized(b"Content-Length: 21.0"),
    "length with a unit": sized(b"Content-Length: 21b"),
    "length in other digits": sized("Content-Length: \u0662\u0661".encode()),
    "length after a vertical tab": sized(b"Content-Length: \x0b21"),
    "length after a no-break space": sized(b"Content-Length: \xc2\xa021"),
    "empty length": sized(b"Content-Length:"),
    "quoted length": sized(b'Content-Length: "21"'),
    # The encoding
    "length and chunks": plain(b"Transfer-Encoding: chunked"),
    "chunks and length": sized(b"Transfer-Encoding: chunked\r\nContent-Length: 21", WHOLE),
    "blank before the colon of chunks": plain(b"Transfer-Encoding : chunked"),
    "vertical tab in a name": plain(b"Transfer-Encoding\x0b: chunked"),
    "NUL in a name": plain(b"Transfer-Encoding\0: chunked"),
    "line break in a name": plain(b"Transfer\r-Encoding: chunked"),
    "two encodings": chunked(WHOLE, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
    "chunks twice": chunked(WHOLE, b"Transfer-Encoding: chunked, chunked"),
    "chunks of identity": chunked(WHOLE, b"Transfer-Encoding: identity, chunked"),
    "identity": chunked(BODY, b"Transfer-Encoding: identity"),
    "compressed chunks": chunked(WHOLE, b"Transfer-Encoding: gzip, chunked"),
    "chunks with a comma": chunked(WHOLE, b"Transfer-Encoding: ,chunked"),
    "quoted chunks": chunked(WHOLE, b'Transfer-Encoding: "chunked"'),
    "xchunked": chunked(WHOLE, b"Transfer-Encoding: xchunked"),
    "vertical tab before chunked": chunked(WHOLE, b"Transfer-Encoding: \x0bchunked"),
    "empty encoding": chunked(WHOLE, b"Transfer-Encoding:"),
    "chunks in HTTP/1.0": chunked(WHOLE + b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    # Lines
    "folded header": plain(b"X-A: b", b" Transfer-Encoding: chunked"),
    "folded encoding": chunked(WHOLE, b"Transfer-Encoding:\r\n chunked"),
    "folded with a tab": plain(b"X-A: b", b"\tc"),
    "first header folded": plain().replace(b"host:", b" host:"),
    "line without a colon": plain(b"what"),
    "line without a name": plain(b": value"),
    "LF within a value": plain(b"X-A: b\nTransfer-Encoding: chunked"),
    "CR within a value": plain(b"X-A: b\rTransfer-Encoding: chunked"),
    "NUL within a value": plain(b"X-A: b\0c"),
    "LF at the end of a line": plain(b"X-A: b\nX-C: d"),
    "header of other letters": plain("Transfer-Encod\u0131ng: chunked".encode()),
    "quotes in a name": plain(b'"Content-Length": 5'),
    "blank in a name": plain(b"X A: b"),
    "two hosts": plain(b"Host: evil.example"),
    # The request line
    "two blanks": plain(first=b"POST  /api/v1/enqueue HTTP/1.1"),
    "tab": plain(first=b"POST\t/api/v1/enqueue\tHTTP/1.1"),
    "blank in front": plain(first=b" POST /api/v1/enqueue HTTP/1.1"),
    "blank behind": plain(first=b"POST /api/v1/enqueue HTTP/1.1 "),
    "blank in the path": plain(first=b"POST /api/v1/enqueue /x HTTP/1.1"),
    "LF in the method": plain(first=b"PO\nST /api/v1/enqueue HTTP/1.1"),
    "NUL in the path": plain(first=b"POST /api/v1/enqueue\0 HTTP/1.1"),
    "LF in the path": plain(first=b"POST /api/v1/enqueue\n HTTP/1.1"),
    "no version": plain(first=b"POST /api/v1/enqueue"),
    "version 1.2": plain(first=b"POST /api/v1/enqueue HTTP/1.2"),
    "version 1.1.": plain(first=b"POST /api/v1/enqueue HTTP/1.1."),
    "version 01.1": plain(first=b"POST /api/v1/enqueue HTTP/01.1"),
    "version 2.0": plain(first=b"POST /api/v1/enqueue HTTP/2.0"),
    "version in small letters": plain(first=b"POST /api/v1/enqueue http/1.1"),
    "colon in the method": plain(first=b"POST: /api/v1/enqueue HTTP/1.1"),
    # Chunks
    "chunk in 0x": chunked(b"0x15\r\n%b\r\n0\r\n\r\n" % BODY),
    "chunk with a plus": chunked(b"+15\r\n%b\r\n0\r\n\r\n" % BODY),
    "chunk with a minus": chunked(b"-15\r\n%b\r\n0\r\n\r\n" % BODY),
    "chunk with an underscore": chunked(b"1_5\r\n%b\r\n0\r\n\r\n" % BODY),
    "chunk after a blank": chunked(b" 15\r\n%b\r\n0\r\n\r\n" % BODY),
    "chunk before a blank": chunked(b"15 \r\n%b\r\n0\r\n\r\n" % BODY),
    "chunk of no size": chunked(b"\r\n%b\r\n0\r\n\r\n" % BODY),
    "chunk of an extension only": chunked(b";a\r\n%b\r\n0\r\n\r\n" % BODY),
    "chunk of letters": chunked(b"xy\r\n%b\r\n0\r\n\r\n" % BODY),
    "chunk of other digits": chunked("\u0661\u0665\r\n".encode() + BODY + b"\r\n0\r\n\r\n"),
    "chunk of 17 digits": chunked(b"10000000000000015\r\n%b\r\n0\r\n\r\n" % BODY),
    "chunk with LF": chunked(b"15\n%b\r\n0\r\n\r\n" % BODY),
    "LF in an extension": chunked(b"15;a\nb\r\n%b\r\n0\r\n\r\n" % BODY),
    "CR in an extension": chunked(b"15;a\rb\r\n%b\r\n0\r\n\r\n" % BODY),
    "NUL in an extension": chunked(b"15;a\0b\r\n%b\r\n0\r\n\r\n" % BODY),
    "long extension": chunked(b"15;%b\r\n%b\r\n0\r\n\r\n" % (b"a" * 2000, BODY)),
    "data longer than its chunk": chunked(b"14\r\n%b\r\n0\r\n\r\n" % BODY),
    "data without CRLF": chunked(b"15\r\n%bXX0\r\n\r\n" % BODY),
    "data with LF": chunked(b"15\r\n%b\n0\r\n\r\n" % BODY),
    "last chunk in 0x": chunked(b"15\r\n%b\r\n0x0\r\n\r\n" % BODY),
    "trailer without a colon": chunked(WHOLE + b"0\r\nwhat\r\n\r\n"),
    "trailer with a blank in its name": chunked(WHOLE + b"0\r\nX A: b\r\n\r\n"),
    "trailer with LF": chunked(WHOLE + b"0\r\nX-A: b\nX-B: c\r\n\r\n"),
    "folded trailer": chunked(WHOLE + b"0\r\nX-A: b\r\n c\r\n\r\n"),
    "two lengths in the trailers": chunked(
        WHOLE + b"0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
    ),
    "large trailers": chunked(WHOLE + b"0\r\nX-A: %b\r\n\r\n" % (b"b" * 20_000)),
    "request as a trailer": chunked(WHOLE + b"0\r\n" + HIDDEN),
}

ACCEPTED: dict[str, bytes] = {
    "plain": plain(),
    "header of any bytes": plain(b"X-A: \xff\xfe\t b"),
    "header with all characters of a token": plain(b"!#$%&'*+-.^_`|~: b"),
    "empty header": plain(b"X-A:"),
    "no blank after the colon": sized(b"Content-Length:21"),
    "blanks around the length": sized(b"Content-Length: \t 21 \t"),
    "length with zeros": sized(b"Content-Length: 0021"),
    "after a blank line": b"\r\n" + plain(),
    "after three blank lines": b"\r\n\r\n\r\n" + plain(),
    "one chunk": chunked(WHOLE + b"0\r\n\r\n"),
    "chunks": chunked(b"5\r\n%b\r\n10\r\n%b\r\n0\r\n\r\n" % (BODY[:5], BODY[5:])),
    "chunk with zeros": chunked(b"00015\r\n%b\r\n000\r\n\r\n" % BODY),
    "chunk with extensions": chunked(b'15;a;b=c;d="e f"\r\n%b\r\n0;last\r\n\r\n' % BODY),
    "chunk with a blank before its extension": chunked(b"15 ; a\r\n%b\r\n0\r\n\r\n" % BODY),
    "chunks with trailers": chunked(WHOLE + b"0\r\nX-Sum: 1\r\nX-B: \r\n\r\n"),
    "chunks with a trailer of a length": chunked(WHOLE + b"0\r\nContent-Length: 5\r\n\r\n"),
}
KINDS = [StrictProtocol, FastPathProtocol]


async def answers_of(kind: type[StrictProtocol], app: App, *pieces: bytes) -> MemoryConnection:
    """Return a new connection after `pieces` were sent."""
    connection = MemoryConnection(kind, app)
    await connection.send(*pieces)
    return connection


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", answers)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REFUSED)
async def test_ambiguous_request_is_refused_and_nothing_follows(
    bench: Bench, app: App, name: str, kind: type[StrictProtocol]
) -> None:
    connection = await answers_of(kind, app, REFUSED[name] + HIDDEN)
    await until(connection.transport.is_closing)
    assert statuses(connection.answers) == [400]
    assert b"connection: close" in connection.answers
    body = orjson.loads(connection.answers.partition(b"\r\n\r\n")[2])
    assert body["code"] == "PARSE_ERROR"
    assert await bench.store.find_queue("hidden") is None
    assert await bench.store.find_queue("smuggling") is None


@pytest.mark.parametrize("name", list(REFUSED)[::5])
async def test_ambiguous_request_in_single_bytes_is_refused(app: App, name: str) -> None:
    pieces = [bytes([byte]) for byte in REFUSED[name] + HIDDEN]
    connection = await answers_of(FastPathProtocol, app, *pieces)
    await until(connection.transport.is_closing)
    assert statuses(connection.answers) == [400]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ACCEPTED)
async def test_clear_request_is_accepted_and_the_next_one_too(
    app: App, name: str, kind: type[StrictProtocol]
) -> None:
    data = (ACCEPTED[name] + ACCEPTED[name]).replace(b"smuggling", b"acceptors")
    connection = await answers_of(kind, app, data)
    assert statuses(connection.answers) == [201, 201]
    assert not connection.transport.is_closing()
    pieces = [bytes([byte]) for byte in data]
    assert statuses((await answers_of(kind, app, *pieces)).answers) == [201, 201]


@pytest.mark.parametrize("rest", [b"\r", b"\r\n", b"\r\n\r\n\r"])
async def test_connection_is_idle_while_only_blank_lines_arrive(app: App, rest: bytes) -> None:
    connection = await answers_of(FastPathProtocol, app, ACCEPTED["one chunk"] + rest)
    assert connection.protocol.close_if_idle()


async def test_chunks_of_a_request_that_is_not_read_are_dropped(app: App) -> None:
    data = chunked(WHOLE + b"0\r\nX-Sum: 1\r\n\r\n").replace(b"/enqueue", b"/nowhere")
    connection = await answers_of(FastPathProtocol, app, data + data)
    assert statuses(connection.answers) == [404, 404]


async def test_chunks_over_the_limit_are_refused(bench: Bench) -> None:
    app, _ = build_http(Settings(bind="127.0.0.1:0", max_body_bytes=1024), bench.engine)
    app.config.TOUCHUP = False
    http = await start_http(app, bind("127.0.0.1:0"))
    data = chunked(b"FFFFFFFFFF\r\n" + b"x" * 2000)
    connection = await answers_of(FastPathProtocol, app, data)
    http.close()
    assert statuses(connection.answers) == [413]
