"""Requests that a front-end does not answer itself, on their way to the writer and back."""

import asyncio
from typing import TypeAlias

from httptools import HttpResponseParser
from sanic import HTTPResponse, Request

from corvo_server.engine.errors import AnswerLost
from corvo_server.http.request_id import HEADER, request_id
from corvo_server.processes.gone import writer_gone

_CHUNK = 65_536
_SAFE = frozenset({"GET", "HEAD"})
_OF_A_CONNECTION = frozenset(
    {b"connection", b"content-length", b"expect", b"keep-alive", b"te", b"transfer-encoding"}
    | {b"upgrade", HEADER.encode()}
)
"""Headers that are of one connection only, or set anew."""

_Headers: TypeAlias = list[tuple[bytes, bytes]]


class Forwarder:
    """Asks the HTTP server of the writer, over a connection for each request."""

    def __init__(self, path: str) -> None:
        """`path` is of its socket."""
        self._path = path
        self._streams: set[asyncio.StreamReader] = set()

    def close(self) -> None:
        """End the streams; whoever follows them resumes elsewhere."""
        for reader in self._streams:
            reader.feed_eof()

    async def forward(self, request: Request, **_: str) -> HTTPResponse | None:
        """The writer's answer; a stream goes through as it comes.

        A client that hangs up has the handler cancelled, which hangs up on the writer.
        """
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError:
            raise writer_gone() from None
        try:
            writer.write(_head(request) + request.body)
            answer = _Answer(is_bodiless=request.method == "HEAD")
            while not answer.is_complete and not answer.is_stream:
                answer.feed(await _more(reader))
            if answer.is_stream:
                await self._stream(request, reader, answer)
                return None
        except OSError:
            # A refusal says that nothing was done, which is not known of what changes something.
            raise writer_gone() if request.method in _SAFE else AnswerLost from None
        finally:
            writer.transport.abort()
        return _whole(answer)

    async def _stream(
        self, request: Request, reader: asyncio.StreamReader, answer: "_Answer"
    ) -> None:
        stream = await request.respond(
            status=answer.status, headers=answer.headers, content_type=answer.content_type
        )
        self._streams.add(reader)
        try:
            while True:
                if answer.body:
                    await stream.send(answer.take_body())
                data = b"" if answer.is_complete else await reader.read(_CHUNK)
                if not data:
                    break
                answer.feed(data)
        finally:
            self._streams.discard(reader)
        await stream.eof()


async def _more(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(_CHUNK)
    if not data:
        raise ConnectionResetError
    return data


def _whole(answer: "_Answer") -> HTTPResponse:
    return HTTPResponse(
        answer.take_body(),
        status=answer.status,
        headers=answer.headers,
        content_type=answer.content_type,
    )


def _head(request: Request) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.raw_url)]
    lines += [
        b"%b: %b" % (name.encode(), value.encode())
        for name, value in request.headers.items()
        if name.encode() not in _OF_A_CONNECTION
    ]
    lines.append(b"connection: close")
    lines.append(b"%b: %b" % (HEADER.encode(), request_id(request).encode()))
    if request.body:
        lines.append(b"content-length: %d" % len(request.body))
    return b"\r\n".join(lines) + b"\r\n\r\n"


class _Answer:
    """An answer as far as it has come; also what httptools calls."""

    def __init__(self, *, is_bodiless: bool) -> None:
        self.headers: dict[str, str] = {}
        self.content_type: str | None = None
        self.body = b""
        self.is_complete = False
        self.is_stream = False
        self._is_bodiless = is_bodiless
        self._is_chunked = False
        self._parser = HttpResponseParser(self)

    @property
    def status(self) -> int:
        return int(self._parser.get_status_code())

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def take_body(self) -> bytes:
        body, self.body = self.body, b""
        return body

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"transfer-encoding":
            self._is_chunked = True
        if name == b"content-length" and self._is_bodiless:  # of what a GET would bring
            self.headers["content-length"] = value.decode()
        if name == b"content-type":
            self.content_type = value.decode()
        elif name not in _OF_A_CONNECTION:
            self.headers[name.decode()] = value.decode()

    def on_headers_complete(self) -> None:
        self.is_stream = self._is_chunked and not self._is_bodiless
        self.is_complete = self._is_bodiless

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.is_complete = True
