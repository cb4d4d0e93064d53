"""Sends calls directly, or through httpx where that is needed.

Long polls have connections of their own: each holds one, and must not delay other calls.
"""

import asyncio
import os
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from corvo_client._answer import Answer, AsyncStreaming, Streaming
from corvo_client._async.direct import AsyncDirect
from corvo_client._call import Call
from corvo_client._origin import MAX_CONNECTIONS, Origin
from corvo_client._sync.direct import Direct
from corvo_client._through_httpx import AsyncBackend, AsyncThroughHttpx, Backend, ThroughHttpx


class Transport:
    """Sends calls and returns answers of any status. For any number of threads.

    Raises `TransportError` when no answer came. `backend` replaces the network.
    """

    def __init__(self, origin: Origin, backend: Backend | None = None) -> None:
        self._origin = origin
        self._backend = backend
        self._connect()

    def _connect(self) -> None:
        self._process = os.getpid()
        self._streams: ThroughHttpx | None = None
        self._calls = self._make_sender(is_for_polls=False)
        self._polls = self._make_sender(is_for_polls=True)

    def _make_sender(self, *, is_for_polls: bool) -> Direct | ThroughHttpx:
        if self._backend is None and self._origin.proxy is None:
            return Direct(self._origin, None if is_for_polls else MAX_CONNECTIONS)
        return ThroughHttpx(self._origin, self._backend, is_for_polls=is_for_polls)

    def send(self, call: Call[Any]) -> Answer:
        """Send one call."""
        self._enter_process()
        return (self._polls if call.waits else self._calls).send(call)

    def open(self, call: Call[Any]) -> AbstractContextManager[Streaming]:
        """Send one call, and yield its answer as a stream."""
        self._enter_process()
        if self._streams is None:
            self._streams = ThroughHttpx(self._origin, self._backend, is_for_polls=True)
        return self._streams.open(call)

    def _enter_process(self) -> None:
        if self._process != os.getpid():
            # A forked process must not talk over the connections of its parent.
            self._connect()

    def close(self) -> None:
        """Close all connections."""
        for sender in (self._calls, self._polls, self._streams):
            if sender is not None:
                sender.close()


class AsyncTransport:
    """Sends calls and returns answers of any status. For one event loop at a time.

    Raises `TransportError` when no answer came. `backend` replaces the network.
    """

    def __init__(self, origin: Origin, backend: AsyncBackend | None = None) -> None:
        self._origin = origin
        self._backend = backend
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connect()

    def _connect(self) -> None:
        self._streams: AsyncThroughHttpx | None = None
        self._calls = self._make_sender(is_for_polls=False)
        self._polls = self._make_sender(is_for_polls=True)

    def _make_sender(self, *, is_for_polls: bool) -> AsyncDirect | AsyncThroughHttpx:
        if self._backend is None and self._origin.proxy is None:
            return AsyncDirect(self._origin, None if is_for_polls else MAX_CONNECTIONS)
        return AsyncThroughHttpx(self._origin, self._backend, is_for_polls=is_for_polls)

    async def send(self, call: Call[Any]) -> Answer:
        """Send one call."""
        self._enter_loop()
        return await (self._polls if call.waits else self._calls).send(call)

    def open(self, call: Call[Any]) -> AbstractAsyncContextManager[AsyncStreaming]:
        """Send one call, and yield its answer as a stream."""
        self._enter_loop()
        if self._streams is None:
            self._streams = AsyncThroughHttpx(self._origin, self._backend, is_for_polls=True)
        return self._streams.open(call)

    def _enter_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                # The connections of a loop that has ended cannot even be closed any more.
                self._connect()
            self._loop = loop

    async def close(self) -> None:
        """Close all connections."""
        for sender in (self._calls, self._polls, self._streams):
            if sender is not None:
                await sender.close()
