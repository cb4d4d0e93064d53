"""A connection that knows whether its client received the replies.

A reply that was written has not arrived yet: it waits in this process or in the kernel, or it is on
its way. Where that matters, a handler asks with `on_undelivered` to be told if the connection ends
before the client's kernel has acknowledged the reply.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

from sanic.exceptions import RequestCancelled
from sanic.server import HttpProtocol

from corvo_server.http.budgets import Budgets
from corvo_server.http.deadlines import Deadlines
from corvo_server.http.tcp_info import Socket, TcpInfo, read_tcp_info

_MANY = 8
"""Number of unsettled replies from which on each further one settles those before."""
_UNCOUNTED = 16 * 1024
"""Bytes of replies that a client may leave unread before they count."""
_FIRST_POLL = 0.01
_LONGEST_POLL = 1.0
"""Seconds between two looks at a connection that waits for its client to take the replies."""


class Connection(HttpProtocol):
    """A connection that reports replies which its client did not receive.

    It closes only when the client has taken all replies, or takes no more bytes of them.
    """

    __slots__ = (
        "_closing",
        "_expected",
        "_owes_since",
        "_poll",
        "_replies",
        "_sent",
        "_socket",
        "_taken",
        "_unread",
        "_unsent",
        "_unused",
    )

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._sent = self._unsent = 0
        self._expected: Callable[[], None] | None = None
        self._replies: deque[tuple[int, Callable[[], None]]] = deque()
        """The last byte of each reply that may be undelivered, and whom to tell."""
        self._socket: Socket | None = None
        self._taken = self._unread = 0
        self._owes_since: float | None = None
        self._unused: asyncio.TimerHandle | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._poll = _FIRST_POLL

    @property
    def budgets(self) -> Budgets:
        """The budgets of the server."""
        return cast("Budgets", self.app.ctx.budgets)

    @property
    def deadlines(self) -> Deadlines:
        """How long the server waits for the client."""
        return cast("Deadlines", self.app.ctx.deadlines)

    def connection_made(self, transport: Any) -> None:
        """Start to serve the connection. Close it if the client sends nothing."""
        super().connection_made(transport)  # type: ignore[no-untyped-call]
        transport.set_write_buffer_limits(low=_UNCOUNTED // 4, high=_UNCOUNTED)
        self._socket = transport.get_extra_info("socket")
        self._unused = self.loop.call_later(self.deadlines.head, self._close_unused)

    def _close_unused(self) -> None:
        if not self._sent and not self.recv_buffer:
            self.close_if_idle()

    # Replies

    def on_undelivered(self, report: Callable[[], None]) -> None:
        """Call `report` if the connection ends before the client has received the next reply.

        Where the kernel does not tell, only replies that were not sent completely are reported.
        """
        if len(self._replies) >= _MANY:
            self._settle(self._info())
        self._expected = report

    async def send(self, data: bytes) -> None:
        """Write bytes of a reply when the client has taken enough of those before."""
        if not self._can_write.is_set():
            self._hold(len(data))
            await self._can_write.wait()
        transport = self.transport
        if transport is None or transport.is_closing():
            raise RequestCancelled
        self._sent += self._write(transport, data)
        if not self._can_write.is_set():
            self._hold(len(data))
        self._time = monotonic()
        if self._expected is not None:
            self._replies.append((self._sent, self._expected))
            self._expected = None

    def _write(self, transport: asyncio.Transport, data: bytes) -> int:
        """Pass bytes to the transport. Return how many more bytes it sends because of them."""
        transport.write(data)
        return len(data)

    def _hold(self, size: int) -> None:
        """Charge a reply that the client does not take at once to the budget of replies."""
        self._unread += size
        self.budgets.replies.used += size

    def resume_writing(self) -> None:
        """Write more replies: the client has taken most bytes, or the connection has ended."""
        self.budgets.replies.used -= self._unread
        self._unread = 0
        super().resume_writing()  # type: ignore[no-untyped-call]

    def report_expected(self) -> None:
        """Report the next reply as not received, because another one is sent instead."""
        report, self._expected = self._expected, None
        if report is not None:
            report()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the replies that the client did not receive."""
        self._settle(self._info())
        undelivered = [report for _, report in self._replies]
        if self._expected is not None:
            undelivered.append(self._expected)
        self._replies.clear()
        for timer in (self._unused, self._closing):
            if timer is not None:
                timer.cancel()
        self._socket = None  # its number may soon be another one's
        super().connection_lost(exc)  # type: ignore[no-untyped-call]
        for report in undelivered:
            report()

    def _info(self) -> TcpInfo | None:
        return read_tcp_info(self._socket)

    def _buffered(self) -> int:
        """Return how many bytes this process has not passed to the kernel, or a lower bound."""
        size = 0 if self.transport is None else self.transport.get_write_buffer_size()
        # asyncio drops the bytes of a broken connection, but writing stays paused.
        return max(size, self._unsent, 0 if self._can_write.is_set() else 1)

    def _count_taken(self, info: TcpInfo | None) -> int:
        """Return how many bytes the client has taken, as far as is known."""
        return self._sent - self._buffered() if info is None else info.acknowledged

    def _settle(self, info: TcpInfo | None) -> None:
        """Forget the replies that the client has received."""
        taken = self._count_taken(info) if self._replies else 0
        while self._replies and self._replies[0][0] <= taken:
            self._replies.popleft()

    # Slow readers

    def check_timeouts(self) -> None:
        """Close an idle connection. Abort one whose client takes nothing of its reply."""
        info = self._info() if self._taken != self._sent else None
        self._settle(info)
        if self._has_stalled(info):
            self.abort()
        else:
            super().check_timeouts()  # type: ignore[no-untyped-call]

    def _has_stalled(self, info: TcpInfo | None) -> bool:
        """Return whether the client has taken nothing of its reply since the deadline.

        A client that takes bytes is not idle.
        """
        taken = self._count_taken(info)
        if taken != self._taken:
            self._taken = taken
            self._time = monotonic()
            self._owes_since = None
        if taken >= self._sent:
            self._owes_since = None
            return False
        now: float = self.loop.time()
        if self._owes_since is None:
            self._owes_since = now
        return now - self._owes_since >= self.deadlines.reply

    # The end

    def close(self, timeout: float | None = None) -> None:
        """Close the connection when the client has taken all replies. Read no more requests."""
        transport = self.transport
        if transport is None or transport.is_closing() or not self._owes(self._info()):
            super().close(timeout)
        elif self._closing is None:
            if self._task is not None:
                self._task.cancel()
            if transport.can_write_eof():
                transport.write_eof()
            self._close_if_taken()

    def _close_if_taken(self) -> None:
        info = self._info()
        if not self._owes(info):
            super().close()
        elif (info is not None and info.is_broken) or self._has_stalled(info):
            self.abort()
        else:
            self._closing = self.loop.call_later(self._poll, self._close_if_taken)
            self._poll = min(2 * self._poll, _LONGEST_POLL)

    def _owes(self, info: TcpInfo | None) -> bool:
        """Return whether the client has yet to take a reply."""
        self._settle(info)
        return bool(self._replies) or self._buffered() > 0

    def close_if_idle(self) -> bool:
        """Close the connection if it serves no request. Return whether that is done."""
        return bool(super().close_if_idle()) and self._closing is None

    def eof_received(self) -> bool:
        """Close the connection, or keep it open while its client has yet to take a reply."""
        self.close()
        return self._closing is not None

    def abort(self) -> None:
        """Close the connection without waiting for the client."""
        self._unsent = self._buffered()
        super().abort()  # type: ignore[no-untyped-call]
