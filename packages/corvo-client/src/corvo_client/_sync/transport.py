# Generated from src/corvo_client/_async/transport.py by scripts/gen_sync.py. Do not edit.
"""Transport of calls: over connections of our own, or through httpx where that is needed.

Long polls use separate connections: a long poll occupies its connection and would delay other
calls.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from corvo_client._answer import Answer, Streaming
from corvo_client._call import Call
from corvo_client._origin import MAX_CONNECTIONS, Origin
from corvo_client._redirect import server_of_test, target
from corvo_client._sealing import Sealing
from corvo_client._sync.connection import connection_owner
from corvo_client._sync.direct import Direct
from corvo_client._sync.through_httpx import Backend, ThroughHttpx, is_in_memory


class Transport:
    """Sends calls and returns answers of any status.

    A transport opens new connections when another event loop or a forked process uses it. Without
    plain code it serves any number of threads. `backend` replaces the network. Tests redirect
    calls to a server of their own. Raises `TransportError` when no answer arrives.
    """

    def __init__(self, origin: Origin, backend: Backend | None = None) -> None:
        self._origin = origin
        self._backend = backend
        self._owner: object = None
        self._redirect: str | None = None
        self._connect(origin, backend)

    @property
    def url(self) -> str:
        """URL of the server that gets the calls."""
        return server_of_test() or self._origin.url

    @property
    def sealing(self) -> Sealing | None:
        """What seals and opens documents; None without a codec."""
        return self._origin.sealing

    def _connect(self, origin: Origin, backend: Backend | None) -> None:
        self._streams: ThroughHttpx | None = None
        self._current = origin, backend
        self._calls = self._make_sender(is_for_polls=False)
        self._polls = self._make_sender(is_for_polls=True)

    def _make_sender(self, *, is_for_polls: bool) -> Direct | ThroughHttpx:
        origin, backend = self._current
        if backend is None and origin.proxy is None:
            return Direct(origin, None if is_for_polls else MAX_CONNECTIONS)
        return ThroughHttpx(origin, backend, is_for_polls=is_for_polls)

    def send(self, call: Call[Any]) -> Answer:
        """Send one call and return its answer. Documents are sealed and opened on the way."""
        self._prepare()
        sender = self._polls if call.waits else self._calls
        if (sealing := self.sealing) is None:
            return sender.send(call)
        return sealing.opened(call, sender.send(sealing.sealed(call)))

    @contextmanager
    def open(self, call: Call[Any]) -> Iterator[Streaming]:
        """Send one call and yield its answer as a stream."""
        self._prepare()
        if self._streams is None:
            self._streams = ThroughHttpx(*self._current, is_for_polls=True)
        with self._streams.open(call) as answer:
            yield answer

    def _prepare(self) -> None:
        """Replace the connections if they have another owner, or lead to another server."""
        owner, redirect = connection_owner(), target()
        if self._owner == owner and self._redirect == redirect:
            return
        # Connections of another owner are not closed: an event loop that has ended cannot close
        # them, and after a fork the parent process still uses them.
        left = self._senders if self._owner == owner and not self._has_own_backend else []
        if redirect is not None and not (self._backend and is_in_memory(self._backend)):
            self._connect(self._origin.moved_to(redirect), None)
        elif self._owner is not None:
            self._connect(self._origin, self._backend)
        # Last, because other threads send their calls as soon as these are set.
        self._owner, self._redirect = owner, redirect
        for sender in left:
            sender.close()

    @property
    def _has_own_backend(self) -> bool:
        """True if the connections are those of the caller's backend, which is used again."""
        return self._current[1] is not None

    @property
    def _senders(self) -> list[Direct | ThroughHttpx]:
        return [one for one in (self._calls, self._polls, self._streams) if one is not None]

    def close(self) -> None:
        """Close all connections."""
        for sender in self._senders:
            sender.close()
        if self._backend is not None and not self._has_own_backend:
            self._backend.close()
