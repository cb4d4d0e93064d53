"""Connections that are open and not in use."""

import select
from collections import deque
from threading import Lock
from typing import Generic, Protocol, TypeVar

from corvo_client._origin import MAX_CONNECTIONS, ServerAddress


class IdleConnection(Protocol):
    """A connection that can be kept."""

    server: ServerAddress

    def is_good(self) -> bool:
        """Tell whether it can still be used."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


C = TypeVar("C", bound=IdleConnection)


class Idle(Generic[C]):
    """Keeps up to `MAX_CONNECTIONS` connections, the last used first. For any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connections: deque[C] = deque()

    def take(self, server: ServerAddress) -> C | None:
        """Remove and return a good connection to `server`, or None. Closes bad ones on the way."""
        while True:
            with self._lock:
                connection = next((c for c in self._connections if c.server is server), None)
                if connection is None:
                    return None
                self._connections.remove(connection)
            if connection.is_good():
                return connection
            connection.close()

    def keep(self, connection: C) -> None:
        """Keep a connection until it is taken. Closes the oldest one when there are too many."""
        with self._lock:
            self._connections.appendleft(connection)
            is_full = len(self._connections) > MAX_CONNECTIONS
            oldest = self._connections.pop() if is_full else None
        if oldest is not None:
            oldest.close()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            idle = list(self._connections)
            self._connections.clear()
        for connection in idle:
            connection.close()


class Readable(Protocol):
    """A socket, or an event loop's stand-in for one."""

    def fileno(self) -> int: ...


if hasattr(select, "poll"):

    def is_readable(connection: Readable) -> bool:
        """Tell whether data or the end of the stream has arrived."""
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))

else:  # Windows, where select takes any socket

    def is_readable(connection: Readable) -> bool:
        """Tell whether data or the end of the stream has arrived."""
        return bool(select.select([connection], [], [], 0)[0])
