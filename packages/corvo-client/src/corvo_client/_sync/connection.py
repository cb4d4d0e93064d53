"""The blocking parts of `direct.py` and `transport.py`: connection, its owner, semaphore.

Written by hand, like `_async/connection.py`.
"""

import os
import socket
import threading
import time
from typing import Self

from corvo_client._http1 import Reading
from corvo_client._idle import is_readable
from corvo_client._origin import KEEPALIVE_SECONDS, Origin, ServerAddress

_RECEIVED_BYTES = 65_536

Semaphore = threading.BoundedSemaphore


def connection_owner() -> object:
    """Return the process id: a forked process must not use the connections of its parent."""
    return os.getpid()


class Connection:
    """One connection, which carries one request and its answer at a time."""

    def __init__(
        self, server: ServerAddress, connected: socket.socket, write_timeout: float
    ) -> None:
        self.server = server
        self._socket = connected
        self._write_timeout = write_timeout
        self._used_at = time.monotonic()

    @classmethod
    def open(cls, server: ServerAddress, origin: Origin, timeout: float) -> Self:
        """Connect to a server within `timeout` seconds. Raises OSError."""
        address = (server.host, server.port)
        connected = socket.create_connection(address, timeout)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if server.is_tls:
                connected = origin.tls.wrap_socket(connected, server_hostname=server.host)
        except BaseException:
            connected.close()
            raise
        return cls(server, connected, origin.read_timeout)

    def exchange(self, request: bytes, silence_timeout: float) -> Reading:
        """Send a request and return its answer.

        Raises TimeoutError when the server sends nothing for `silence_timeout` seconds, OSError,
        and `BrokenAnswer`.
        """
        self._socket.settimeout(min(self._write_timeout, silence_timeout))
        self._socket.sendall(request)
        self._socket.settimeout(silence_timeout)
        answer = Reading()
        while not answer.is_complete:
            received = self._socket.recv(_RECEIVED_BYTES)
            if received:
                answer.feed(received)
            else:
                answer.end()
        self._used_at = time.monotonic()
        return answer

    def is_good(self) -> bool:
        """Return whether an idle connection is recent enough and still open."""
        if time.monotonic() - self._used_at > KEEPALIVE_SECONDS:
            return False
        return not is_readable(self._socket)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
