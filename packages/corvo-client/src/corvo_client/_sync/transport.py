# Generated from src/corvo_client/_async/transport.py by scripts/gen_sync.py. Do not edit.
"""Transport of calls: over connections of our own, or through httpx where that is needed.

Long polls use separate connections: a long poll occupies its connection and would delay other
calls.
"""

from contextlib import AbstractContextManager
from typing import Any

from corvo_client._answer import Answer, Streaming
from corvo_client._call import Call
from corvo_client._origin import MAX_CONNECTIONS, Origin
from corvo_client._sync.connection import connection_owner
from corvo_client._sync.direct import Direct
from corvo_client._sync.through_httpx import Backend, ThroughHttpx


class Transport:
    """Sends calls and returns answers of any status.

    A transport opens new connections when another event loop or a forked process uses it. Without
    plain code it serves any number of threads. `backend` replaces the network. Raises
    `TransportError` when no answer arrives.
    """

    def __init__(self, origin: Origin, backend: Backend | None = None) -> None:
        self._origin = origin
        self._backend = backend
        self._owner: object = None
        self._connect()

    def _connect(self) -> None:
        self._streams: ThroughHttpx | None = None
        self._calls = self._make_sender(is_for_polls=False)
        self._polls = self._make_sender(is_for_polls=True)

    def _make_sender(self, *, is_for_polls: bool) -> Direct | ThroughHttpx:
        if self._backend is None and self._origin.proxy is None:
            return Direct(self._origin, None if is_for_polls else MAX_CONNECTIONS)
        return ThroughHttpx(self._origin, self._backend, is_for_polls=is_for_polls)

    def send(self, call: Call[Any]) -> Answer:
        """Send one call and return its answer."""
        self._check_owner()
        return (self._polls if call.waits else self._calls).send(call)

    def open(self, call: Call[Any]) -> AbstractContextManager[Streaming]:
        """Send one call and yield its answer as a stream."""
        self._check_owner()
        if self._streams is None:
            self._streams = ThroughHttpx(self._origin, self._backend, is_for_polls=True)
        return self._streams.open(call)

    def _check_owner(self) -> None:
        """Replace the connections if another event loop or another process owns them."""
        owner = connection_owner()
        if self._owner != owner:
            if self._owner is not None:
                # The old connections are not closed: an event loop that has ended cannot close
                # them, and after a fork the parent process still uses them.
                self._connect()
            self._owner = owner

    def close(self) -> None:
        """Close all connections."""
        for sender in (self._calls, self._polls, self._streams):
            if sender is not None:
                sender.close()
