"""TLS of the connections: it lies between the socket and the protocol.

The event loop's own TLS begins a connection only after the handshake, so neither budgets nor
deadlines would hold before. It also closes a connection whose client ends its side. Here a
connection is one from its first byte on, and every byte on the socket is counted, so that the
kernel's counts say which replies a client has received.
"""

import asyncio
import logging
import ssl
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic
from typing import Any

import orjson

from corvo_schema.errors import ErrorCode
from corvo_server.http.fast_path import FastPathProtocol
from corvo_server.logs import fields

log = logging.getLogger(__name__)

_RECORD = 16 * 1024
"""Bytes in the largest record of TLS. OpenSSL's buffers keep the size of the largest piece."""
_LOG_EVERY = 60.0
"""Seconds between two log lines about failed handshakes."""
_LETTERS = frozenset(range(ord("A"), ord("Z") + 1))
"""First bytes of plain HTTP. TLS begins with another byte."""
_PLAIN_MESSAGE = "This port speaks HTTPS. Use a URL that starts with https://."


class Tls:
    """The TLS of one server. A new `context` holds for new connections."""

    def __init__(self, context: ssl.SSLContext, expires: int) -> None:
        self.context = context
        self.expires = expires
        """Unix time at which the certificate expires."""
        self._logged_at = -_LOG_EVERY
        self._not_logged = 0

    def note_failure(self, address: str, reason: str) -> None:
        """Log a failed handshake, at most once a minute: anyone can cause them."""
        now = monotonic()
        if now - self._logged_at < _LOG_EVERY:
            self._not_logged += 1
            return
        log.warning(
            "a TLS handshake failed: %s",
            reason,
            extra=fields(client=address, failures_not_logged=self._not_logged),
        )
        self._logged_at, self._not_logged = now, 0


class TlsTransport(asyncio.Transport):
    """A transport that encrypts for the transport below it. Sizes are those of encrypted bytes."""

    def __init__(self, below: asyncio.Transport, context: ssl.SSLContext) -> None:
        super().__init__()
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.has_begun = False
        """Whether bytes were received."""
        self.is_ready = False
        """Whether the handshake is done."""
        self.written = 0
        """Number of bytes that were passed to the transport below."""

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Yield what the client has sent; empty bytes at its end. Raise `SSLError`."""
        self.has_begun = True
        view = memoryview(data)
        try:
            for start in range(0, len(view), _RECORD):
                self._incoming.write(view[start : start + _RECORD])
                if self.is_ready or self._shake_hands():
                    yield from self._decrypt()
        finally:
            self._flush()  # also the alert that says what failed

    def _shake_hands(self) -> bool:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.is_ready = True
        return True

    def _decrypt(self) -> Iterator[bytes]:
        session, incoming = self._session, self._incoming
        while not self._below.is_closing():
            try:
                data = session.read(_RECORD)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:  # both sides have ended
                data = b""
            yield data
            if not data or not (incoming.pending or session.pending()):
                return

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not self._below.is_closing():
            self.written += len(data)
            self._below.write(data)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send bytes. Break the connection if that is not possible any more."""
        view, at, pieces = memoryview(data), 0, []
        try:
            while at < len(view):
                at += self._session.write(view[at : at + _RECORD])
                pieces.append(self._outgoing.read())
        except ssl.SSLError:
            self.abort()
            return
        encrypted = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.written += len(encrypted)
        self._below.write(encrypted)

    def can_write_eof(self) -> bool:
        """Return True: TLS tells the client that no more bytes follow."""
        return True

    def write_eof(self) -> None:
        """Send no more bytes after those that wait. The client may still send some."""
        self._say_end()
        self._below.write_eof()

    def close(self) -> None:
        """Close the connection after the bytes that wait."""
        if not self._below.is_closing():
            self._say_end()
            self._below.close()

    def close_with(self, data: bytes) -> None:
        """Send bytes without TLS, and close the connection."""
        self._below.write(data)
        self._below.close()

    def _say_end(self) -> None:
        if self.is_ready:
            with suppress(ssl.SSLError):  # it does not wait for the client's own message
                self._session.unwrap()
            self._flush()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection."""
        if name == "ssl_object":
            return self._session
        return self._below.get_extra_info(name, default)

    # Of the transport below

    def abort(self) -> None:
        """Close the connection without waiting for the client."""
        self._below.abort()

    def is_closing(self) -> bool:
        """Return whether the connection is closing."""
        return self._below.is_closing()

    def pause_reading(self) -> None:
        """Read nothing from the client."""
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Read from the client again."""
        self._below.resume_reading()

    def is_reading(self) -> bool:
        """Return whether the transport reads from the client."""
        return self._below.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how many bytes may wait before the protocol writes no more."""
        self._below.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes were not passed to the kernel."""
        return self._below.get_write_buffer_size()


class SecureProtocol(FastPathProtocol):
    """A connection over TLS. Budgets and deadlines hold from its first byte on."""

    __slots__ = ("_tls_transport",)

    def connection_made(self, transport: Any) -> None:
        """Start to serve the connection."""
        self._tls_transport = TlsTransport(transport, self._tls.context)
        super().connection_made(self._tls_transport)

    @property
    def _tls(self) -> Tls:
        tls: Tls = self.app.ctx.tls
        return tls

    def data_received(self, data: bytes) -> None:
        """Decrypt bytes and buffer those of requests."""
        transport = self._tls_transport
        if not transport.has_begun and data[0] in _LETTERS:
            self._answer_plain_http()
            return
        try:
            for piece in transport.receive(data):
                if piece:
                    super().data_received(piece)
                else:
                    self.eof_received()
        except ssl.SSLError as error:
            self._fail(error)

    def _fail(self, error: ssl.SSLError) -> None:
        transport = self._tls_transport
        if transport.is_ready:
            self.abort()
            return
        self._tls.note_failure(self._address, _words(error))
        transport.close()

    def eof_received(self) -> bool:
        """Keep the connection open for its replies, or close it, like one without TLS."""
        if self.has_ended():  # the end of TLS was received before that of the connection
            return True
        is_kept = super().eof_received()
        if not is_kept:
            self._tls_transport.close()
        return is_kept

    def _write(self, transport: asyncio.Transport, data: bytes) -> int:
        """Encrypt and send bytes. Return how many more the kernel has got, with the handshake."""
        transport.write(data)
        return self._tls_transport.written - self._sent

    def _answer_plain_http(self) -> None:
        """Tell a client without TLS what to do."""
        body = orjson.dumps({"error": _PLAIN_MESSAGE, "code": ErrorCode.PARSE_ERROR})
        head = (
            "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._tls_transport.close_with(head.encode() + body)


def _words(error: ssl.SSLError) -> str:
    """Return why a handshake failed, in the words of OpenSSL."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is refused: {error.verify_message}"
    return (error.reason or str(error)).lower().replace("_", " ")
