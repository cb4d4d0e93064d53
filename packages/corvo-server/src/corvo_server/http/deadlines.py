"""Deadlines of connections: how long the server waits for the bytes of its clients.

Only the time that the server waits for a client counts, never the time that a request waits for the
server.
"""

from math import inf
from typing import NamedTuple


class Deadlines(NamedTuple):
    """Times in seconds, and a rate in bytes per second."""

    head: float = 10.0
    """Time for the head of a request, and for the first byte on a new connection."""
    body: float = 10.0
    """Time without bytes of a body, and for a body of less than `rate` bytes."""
    rate: float = 1024.0
    """Minimum average rate of a body."""
    idle: float = 120.0
    """Time between two requests."""
    reply: float = 60.0
    """Time in which a client must take at least one byte of its reply."""


class Patience:
    """The time that is left for a client to send the head or the body of one request.

    The time for a body grows with the bytes that arrive, up to its initial value. So a slow client
    may send for hours, but it cannot save time for a later pause.
    """

    __slots__ = ("_deadlines", "_most", "_rate", "left")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self.start_head()

    def start_head(self) -> None:
        """Start the time for a head."""
        self._start(self._deadlines.head, inf)

    def start_body(self) -> None:
        """Start the time for a body."""
        self._start(self._deadlines.body, self._deadlines.rate)

    def start_idle(self) -> None:
        """Start the time for the blank lines before a request."""
        self._start(self._deadlines.idle, inf)

    def end(self, rate: float) -> None:
        """Leave no time: the body does not bring `rate` bytes per second."""
        self.left, self._rate = 0.0, rate

    def _start(self, seconds: float, rate: float) -> None:
        self.left = self._most = seconds
        self._rate = rate

    @property
    def reason(self) -> str:
        """A sentence that says what the client did not do in time."""
        if self._rate == inf:
            return f"its head was not complete within {self._most:g} s"
        return f"its body must bring at least {self._rate:g} bytes per second"

    def spend(self, seconds: float, received: int) -> None:
        """Subtract the seconds of a wait, and add the time for the bytes that it brought."""
        self.left = min(self._most, max(0.0, self.left - seconds) + received / self._rate)
