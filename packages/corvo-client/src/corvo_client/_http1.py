"""Writes requests and parses answers of HTTP/1.1. No I/O."""

from typing import Any

from httptools import HttpParserError, HttpResponseParser

from corvo_client._answer import Answer
from corvo_client._call import Call
from corvo_client._origin import ServerAddress


class BrokenAnswer(Exception):
    """The received bytes are not a complete HTTP answer."""


def write_request(call: Call[Any], server: ServerAddress) -> bytes:
    """Return the bytes of the request for a call."""
    target = server.url_of(call).raw_path
    common = b"".join([b"%b: %b\r\n" % header for header in server.headers])
    head = b"%b %b HTTP/1.1\r\n%b" % (call.verb.encode(), target, common)
    if call.body is not None:
        more = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return head + more % len(call.body) + call.body
    return head + (b"\r\n" if call.verb == "GET" else b"Content-Length: 0\r\n\r\n")


class Reading:
    """One answer, parsed as its bytes arrive."""

    def __init__(self) -> None:
        self.is_complete = False
        self.keeps_alive = False
        """True if the connection can be used for another request."""
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._is_ended_by_close = False
        self._parser = HttpResponseParser(self)

    def feed(self, piece: bytes) -> None:
        """Parse received bytes. Raises `BrokenAnswer` if they are not HTTP."""
        try:
            self._parser.feed_data(piece)
        except HttpParserError as error:
            raise BrokenAnswer(f"the answer is not HTTP: {error}") from None

    def end(self) -> None:
        """Handle the end of the stream. Raises `BrokenAnswer` if the answer is incomplete."""
        if not self._is_ended_by_close:
            raise BrokenAnswer("the server closed the connection before its answer was complete")
        self.is_complete = True

    @property
    def answer(self) -> Answer:
        """The complete answer."""
        return Answer(self._status, self._headers, b"".join(self._body))

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.keeps_alive = False  # surplus bytes: the next answer would be misread

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_complete:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not self.is_complete:
            self._status = self._parser.get_status_code()
            self._is_ended_by_close = not (
                "content-length" in self._headers or "transfer-encoding" in self._headers
            )

    def on_body(self, body: bytes) -> None:
        if not self.is_complete:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status < 200:  # an informational answer: the final one follows
            self._headers.clear()
            self._is_ended_by_close = False
        elif not self.is_complete:
            self.is_complete = True
            self.keeps_alive = self._parser.should_keep_alive()
