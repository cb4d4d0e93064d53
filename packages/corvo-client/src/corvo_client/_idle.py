"""Pool of idle connections."""

import select
from collections import deque
from threading import Lock
from typing import Generic, Protocol, TypeVar

from corvo_client._origin import MAX_CONNECTIONS, ServerAddress


class IdleConnection(Protocol):
    """A connection that can be pooled."""

    server: ServerAddress

    def is_good(self) -> bool:
        """Return whether the connection can still be used."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


C = TypeVar("C", bound=IdleConnection)


class Idle(Generic[C]):
    """A pool of up to `MAX_CONNECTIONS` connections, most recently used first. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connections: deque[C] = deque()

    def take(self, server: ServerAddress) -> C | None:
        """Remove and return a usable connection to `server`, or None. Close unusable ones."""
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
        """Add a connection to the pool. Close the least recently used one if the pool is full."""
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
    """A socket, or the object that an event loop returns instead of it."""

    def fileno(self) -> int: ...


if hasattr(select, "poll"):

    def is_readable(connection: Readable) -> bool:
        """Return whether data or the end of the stream has arrived."""
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0))

else:  # on Windows there is no poll, and select accepts a socket with any number

    def is_readable(connection: Readable) -> bool:
        """Return whether data or the end of the stream has arrived."""
        return bool(select.select([connection], [], [], 0)[0])
