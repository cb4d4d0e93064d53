"""HTTP/1.1 as RFC 9112 requires it: what Sanic accepts too easily is refused, and the reverse.

Two parsers that disagree about where a request ends can be made to see different requests (request
smuggling). Every head or chunk that parsers are known to read differently gets 400, and the server
closes the connection. Blank lines before a request, chunk extensions and trailers are accepted.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

from sanic.exceptions import BadRequest, RequestTimeout
from sanic.http import Http, Stage
from sanic.http.http1 import HTTP_CONTINUE

from corvo_server.http.connection import Connection
from corvo_server.http.deadlines import Patience

END_OF_HEAD = b"\r\n\r\n"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile("[0-9]+")
_TARGET = re.compile(r"[^\x00-\x20\x7f]+")
_VERSIONS = frozenset({"HTTP/1.1", "HTTP/1.0"})
_ONCE = frozenset({"content-length", "host", "transfer-encoding"})
"""Headers of which parsers take different ones if there are several."""
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
"""A chunk's size with its extensions, which are ignored."""
_TLS = b"\x16"
"""First byte of TLS."""
_GRACE = 0.001
"""Seconds between the end of a wait and its effect."""
_MAX_CHUNK_LINE = 1024
"""Maximum bytes of a chunk's size with its extensions."""


@lru_cache(maxsize=1024)  # clients repeat the same few names
def header_name(name: str) -> str | None:
    """Return the name of a header in lower case; None if it is not a valid name."""
    return name.lower() if _TOKEN.fullmatch(name) else None


def has_stray_control(head: bytes, lines: int) -> bool:
    """Return whether a head of so many lines contains NUL, or CR or LF within a line."""
    ends = lines - 1
    return b"\0" in head or head.count(b"\r") != ends or head.count(b"\n") != ends


def check_head(head: bytes) -> None:
    """Raise `BadRequest` for a head that parsers are known to read differently."""
    first, *lines = _lines_of(head)
    method, _, rest = first.partition(" ")
    target, _, version = rest.partition(" ")
    if not _TOKEN.fullmatch(method):
        raise BadRequest("the method is not a token")
    if not _TARGET.fullmatch(target) or version not in _VERSIONS:
        raise BadRequest("the request line must be: METHOD /path HTTP/1.1")
    found = _check_header_lines(lines)
    length, coding = found.get("content-length"), found.get("transfer-encoding")
    if length is not None and not _LENGTH.fullmatch(length):
        raise BadRequest("Content-Length must be one number of digits")
    if coding is not None:
        if length is not None:
            raise BadRequest("the request has both Content-Length and Transfer-Encoding")
        if coding != "chunked" or version != "HTTP/1.1":
            raise BadRequest("the only Transfer-Encoding is chunked, in HTTP/1.1")


def _lines_of(head: bytes) -> list[str]:
    lines = head.decode(errors="surrogateescape").split("\r\n")
    if has_stray_control(head, len(lines)):
        raise BadRequest("the head contains NUL, or CR or LF within a line")
    return lines


def _check_header_lines(lines: list[str]) -> dict[str, str]:
    """Return the headers that a request has at most once. Raise `BadRequest` for invalid lines."""
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        lower = header_name(name)
        if not colon or lower is None:
            raise BadRequest("a header must be NAME: VALUE, without a blank before the colon")
        if lower in _ONCE:
            if lower in found:
                raise BadRequest(f"the request has more than one {lower}")
            found[lower] = value.strip(" \t")
    return found


class StrictHttp(Http):
    """Sanic's loop over the requests of a connection, with strict heads and chunks."""

    __slots__ = ()

    protocol: "StrictProtocol"

    async def http1_request_header(self) -> None:
        """Read and check the head of the next request. Raise `BadRequest`."""
        await self._skip_blank_lines()
        self.protocol.patience.start_head()
        head = await self._receive_head()
        if head is not None:  # else it is too large, as Sanic finds too
            check_head(head)
        await super().http1_request_header()  # type: ignore[no-untyped-call]
        self.protocol.patience.start_body()

    async def _skip_blank_lines(self) -> None:
        """Drop the blank lines before a request. Meanwhile the connection counts as idle."""
        buffer: bytearray = self.recv_buffer
        self.protocol.patience.start_idle()
        while buffer[:1] == b"\r":
            if len(buffer) == 1:
                await self._receive_after_blank()
            elif buffer[:2] == b"\r\n":
                del buffer[:2]
                if not buffer:
                    await self._receive_after_blank()
            else:
                return

    async def _receive_after_blank(self) -> None:
        self.stage = Stage.IDLE
        await self.protocol.receive_in_time()
        self.stage = Stage.REQUEST

    async def _receive_head(self) -> bytes | None:
        """Wait for a complete head and return it; None if it is over the limit.

        A client that speaks TLS is refused at once: its bytes are not the begin of a long head.
        """
        buffer: bytearray = self.recv_buffer
        if buffer[:1] == _TLS:
            raise BadRequest("this port does not speak TLS; use a URL that starts with http://")
        start = 0
        while (end := buffer.find(END_OF_HEAD, start)) < 0:
            start = max(0, len(buffer) - 3)
            if start >= self.HEADER_MAX_SIZE:
                return None
            await self._receive_more()
        return bytes(buffer[:end]) if end < self.HEADER_MAX_SIZE else None

    async def read(self) -> bytes | None:
        """Read some bytes of the body; None at its end. Raise `BadRequest` for invalid chunks."""
        if cast("object", self.request_body) == "chunked" and self.request_bytes_left == 0:
            if self.expecting_continue:
                self.expecting_continue = False
                await self._send(HTTP_CONTINUE)
            size = await self._receive_chunk_size()
            if size == 0:
                await self._skip_trailers()
                self.request_body = None
                return None
            self.request_bytes_left = size
            self.request_bytes = cast("int", self.request_bytes) + size
        return await super().read()

    async def _receive_chunk_size(self) -> int:
        """Take the line of the next chunk's size, and the CRLF before it, out of the buffer."""
        buffer: bytearray = self.recv_buffer
        while (end := buffer.find(b"\r\n", 2)) < 0 and len(buffer) <= _MAX_CHUNK_LINE:
            await self._receive_more()
        match = _CHUNK.fullmatch(buffer, 2, end) if 0 < end <= _MAX_CHUNK_LINE else None
        if match is None or buffer[:2] != b"\r\n":
            raise self._bad_chunks("a chunk must be its size in hex digits, CRLF, data, CRLF")
        size = int(match[1], 16)
        del buffer[:end]  # the CRLF stays before the data
        if size:
            del buffer[:2]
        return size

    async def _skip_trailers(self) -> None:
        """Drop the trailers, which begin after a CRLF, and the blank line that ends them."""
        buffer: bytearray = self.recv_buffer
        while (end := buffer.find(END_OF_HEAD)) < 0 and len(buffer) <= self.HEADER_MAX_SIZE:
            await self._receive_more()
        if not 0 <= end <= self.HEADER_MAX_SIZE:
            raise self._bad_chunks("the trailers are too large")
        if end:
            try:
                _check_header_lines(_lines_of(bytes(buffer[2:end])))
            except BadRequest:
                self.keep_alive = False
                raise
        del buffer[: end + len(END_OF_HEAD)]

    def end_unread(self, data: bytes) -> None:
        """End a chunked reply with `data` although the client has not read the reply so far.

        Then the connection closes: at once if the client has read all, else after a few seconds.
        """
        self.keep_alive = False
        transport = self.protocol.transport
        if transport is None:
            return
        if self.stage is not Stage.RESPONSE:  # the head waits behind the replies before it
            self.protocol.abort()
            return
        transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        self.response_func = None  # type: ignore[assignment]  # as Sanic marks the end of a reply
        self.stage = Stage.IDLE

    def _bad_chunks(self, reason: str) -> BadRequest:
        self.keep_alive = False
        return BadRequest(reason)


class StrictProtocol(Connection):
    """A connection with strict heads and chunks, whose client may end its side after a request.

    The client must send its requests in time: see `Patience`.
    """

    __slots__ = ("_has_ended", "_is_too_late", "_is_waiting", "_timer", "is_streaming", "patience")

    HTTP_CLASS = StrictHttp

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._has_ended = self._is_waiting = self._is_too_late = False
        self._timer: asyncio.TimerHandle | None = None
        self.patience = Patience(self.deadlines)
        self.is_streaming = False
        """Whether the reply is an event stream, for which a shutdown does not wait."""

    def has_ended(self) -> bool:
        """Return whether the client has shut down its sending side. It may still read replies."""
        return self._has_ended

    def eof_received(self) -> bool:
        """Keep the connection open for the replies to the requests that were received.

        A request that waits is cancelled: see `waiting`.
        """
        self._has_ended = True
        http = self.http
        if http is None or (http.stage is Stage.IDLE and not self.recv_buffer):
            return super().eof_received()
        if self._is_waiting and self._task is not None:
            self._task.cancel()
        self._data_received.set()
        return True

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Cancel the request if its client ends during the block.

        Most clients that end their side have gone away. Use this where they must not take a job,
        or where a request waits for long.
        """
        self._is_waiting = True
        try:
            yield
        finally:
            self._is_waiting = False

    async def receive_more(self) -> None:
        """Wait for more bytes.

        Raise `BadRequest` if the client has ended within a request, `RequestTimeout` if it is slow.
        """
        http = self.http
        if http.stage is Stage.IDLE and not http.request_body:
            await self._receive()  # `check_timeouts` closes connections without requests
        else:
            await self.receive_in_time()

    async def receive_in_time(self) -> None:
        """Wait for more bytes for as long as the patience lasts. Raise like `receive_more`."""
        loop: asyncio.AbstractEventLoop = self.loop
        started, buffered = loop.time(), len(self.recv_buffer)
        self._timer = loop.call_later(self.patience.left, self._expire)
        try:
            await self._receive()
        finally:
            self._timer.cancel()
        if self._is_too_late:
            await self._refuse_late()
        self.patience.spend(loop.time() - started, len(self.recv_buffer) - buffered)

    def end_patience(self, rate: float) -> None:
        """End the wait for a body that does not bring `rate` bytes per second."""
        self.patience.end(rate)
        if self._timer is not None and not self._timer.cancelled():
            self._timer.cancel()
            self._expire()

    def _expire(self) -> None:
        # Read first what has arrived meanwhile, in case that this process was suspended.
        self._timer = self.loop.call_later(_GRACE, self._end_wait)

    def _end_wait(self) -> None:
        self._is_too_late = True
        self._data_received.set()

    async def _refuse_late(self) -> None:
        """End the connection of a client that was too slow, with an error reply if one can be sent.

        A connection without a request gets none: its client may be about to send one.
        """
        http = self.http
        http.keep_alive = False
        has_body, http.request_body = bool(http.request_body), None
        if http.stage is not Stage.IDLE:
            raise RequestTimeout(self.patience.reason)
        if has_body:  # the rest of a body whose request was answered
            raise BadRequest(self.patience.reason)
        await self._close_idle()

    async def _receive(self) -> None:
        if self._has_ended:
            if self.http.stage is not Stage.IDLE:
                raise BadRequest("the client ended the connection within the request")
            await self._close_idle()
        await super().receive_more()  # type: ignore[no-untyped-call]

    async def _close_idle(self) -> None:
        self.close()  # which cancels this task
        await self.loop.create_future()
