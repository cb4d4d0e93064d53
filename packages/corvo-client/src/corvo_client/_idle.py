"""Connections that are open and not in use."""

from collections import deque
from threading import Lock
from typing import Generic, Protocol, TypeVar

from corvo_client._origin import MAX_CONNECTIONS, Site


class Connection(Protocol):
    """What is kept."""

    site: Site

    def is_good(self) -> bool:
        """Whether it can still be used."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


C = TypeVar("C", bound=Connection)


class Idle(Generic[C]):
    """So many at most, the one that was used last comes first. For any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connections: deque[C] = deque()

    def take(self, site: Site) -> C | None:
        """One to `site` that is still good, if there is any; others that are met are closed."""
        while True:
            with self._lock:
                connection = next((idle for idle in self._connections if idle.site is site), None)
                if connection is None:
                    return None
                self._connections.remove(connection)
            if connection.is_good():
                return connection
            connection.close()

    def keep(self, connection: C) -> None:
        """Keep one until it is taken; the oldest is closed when there are too many."""
        with self._lock:
            self._connections.appendleft(connection)
            is_full = len(self._connections) > MAX_CONNECTIONS
            oldest = self._connections.pop() if is_full else None
        if oldest is not None:
            oldest.close()

    def close(self) -> None:
        """Close all."""
        with self._lock:
            idle = list(self._connections)
            self._connections.clear()
        for connection in idle:
            connection.close()
