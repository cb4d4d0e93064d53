"""Calls over connections of our own, for plain code.

An exchange by httpx costs several times what the server spends on an enqueue. Most programs need
nothing of what it can do beyond a request, an answer and a connection that stays open.
"""

import select
import socket
import threading
import time
from typing import Any, Protocol

from corvo_client._answer import Answer
from corvo_client._call import Call
from corvo_client._http1 import BrokenAnswer, Reading, write_request
from corvo_client._idle import Idle
from corvo_client._origin import KEEPALIVE_SECONDS, Origin, Site

_PIECE = 65_536


class Readable(Protocol):
    """A socket, or what an event loop shows of one."""

    def fileno(self) -> int: ...


class Direct:
    """Sends calls. For any number of threads; at most so many (None: any number) at a time.

    Raises `TransportError` when no answer came.
    """

    def __init__(self, origin: Origin, most: int | None) -> None:
        self._origin = origin
        self._idle: Idle[_Connection] = Idle()
        self._places = None if most is None else threading.BoundedSemaphore(most)
        self._is_closed = False

    def send(self, call: Call[Any]) -> Answer:
        """Send one call."""
        if self._places is None:
            return self._send(call)
        if not self._places.acquire(timeout=self._origin.patience(call)):
            raise self._origin.busy(call, self._origin.site)
        try:
            return self._send(call)
        finally:
            self._places.release()

    def close(self) -> None:
        """Close all connections, those that are busy as soon as they are not."""
        self._is_closed = True
        self._idle.close()

    def _send(self, call: Call[Any]) -> Answer:
        origin = self._origin
        site = origin.site
        connection = self._idle.take(site) or self._connect(site)
        try:
            reading = connection.exchange(
                write_request(call, site), origin.read_timeout, origin.patience(call)
            )
        except TimeoutError as error:
            connection.close()
            raise origin.silent(call, site) from error
        except (OSError, BrokenAnswer) as error:
            connection.close()
            raise origin.lost(call, site, error) from error
        except BaseException:
            connection.close()  # the answer that is still to come must be nobody's
            raise
        if reading.keeps_alive and not self._is_closed:
            self._idle.keep(connection)
        else:
            connection.close()
        answer = reading.answer
        origin.note(answer.status, site)
        return answer

    def _connect(self, site: Site) -> "_Connection":
        try:
            return _Connection(site, self._origin)
        except OSError as error:
            raise self._origin.unreachable(site, error) from error


class _Connection:
    """One connection, for one exchange at a time."""

    def __init__(self, site: Site, origin: Origin) -> None:
        self.site = site
        address = (site.host, site.port)
        self._socket = socket.create_connection(address, origin.connect_timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if site.is_tls:
                self._socket = origin.tls.wrap_socket(self._socket, server_hostname=site.host)
        except BaseException:
            self._socket.close()
            raise
        self._used_at = time.monotonic()

    def exchange(self, request: bytes, writing: float, reading: float) -> Reading:
        """Send a request, return its answer. The timeouts are for each write and read."""
        self._socket.settimeout(writing)
        self._socket.sendall(request)
        self._socket.settimeout(reading)
        answer = Reading()
        while not answer.is_complete:
            piece = self._socket.recv(_PIECE)
            if piece:
                answer.feed(piece)
            else:
                answer.end()
        self._used_at = time.monotonic()
        return answer

    def is_good(self) -> bool:
        """Whether an idle connection can be used: not too old, and not closed by the server."""
        if time.monotonic() - self._used_at > KEEPALIVE_SECONDS:
            return False
        return not is_readable(self._socket)

    def close(self) -> None:
        """Close it."""
        self._socket.close()


if hasattr(select, "poll"):

    def is_readable(connection: Readable) -> bool:
        """Whether something has come, be it only the end."""
        look = select.poll()
        look.register(connection, select.POLLIN)
        return bool(look.poll(0))

else:  # Windows, where select takes any socket

    def is_readable(connection: Readable) -> bool:
        """Whether something has come, be it only the end."""
        return bool(select.select([connection], [], [], 0)[0])
