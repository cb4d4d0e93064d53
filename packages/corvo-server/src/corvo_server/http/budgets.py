"""Budgets: how many bytes and connections the server holds for its clients.

Above a budget, the server refuses new work with a reason and `Retry-After`. It continues the rest.
"""

import logging
from collections import Counter
from enum import StrEnum
from time import monotonic
from typing import NamedTuple, Protocol

from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError
from corvo_server.engine.metrics import Metrics
from corvo_server.logs import fields

log = logging.getLogger(__name__)

SMALL = 64 * 1024
"""Size up to which a body does not compete with large ones, and a reply is never refused."""
RESERVED_CONNECTIONS = 64
"""Connections above the caps that are answered: health and metrics as usual, the rest with 503."""
ALWAYS_SERVED = frozenset({"/healthz", "/readyz", "/api/v1/metrics"})
"""Paths that no budget refuses."""
_BURST = 16 * 1024 * 1024
"""Bytes that may arrive before the server looks at them."""
_RETRY_AFTER = 1
_LOG_EVERY = 60.0
"""Seconds between two log lines about the same budget."""


class Limits(NamedTuple):
    """The sizes of the budgets. With 0 connections of an address, there is no cap for addresses."""

    body_bytes: int = 64 * 1024 * 1024
    unread_bytes: int = 64 * 1024 * 1024
    connections: int = 10_000
    connections_of_address: int = 5_000


class Refusal(StrEnum):
    """The budget that refused a request or a connection."""

    BODIES = "bodies"
    REPLIES = "replies"
    CONNECTIONS = "connections"
    ADDRESS = "address"


class LargeBody(Protocol):
    """A request with a large body."""

    def hurry_if_slow(self) -> None:
        """Give the client no more time for the body if it sends too slowly."""
        ...


class Budget:
    """A number of bytes, of which some are in use."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def has_room(self, size: int) -> bool:
        """Return whether `size` more bytes fit. An empty budget has room for any size."""
        return not self.used or self.used + size <= self.limit


class Budgets:
    """The budgets of one server."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._small = Budget(limits.body_bytes // 4)
        self._large = Budget(limits.body_bytes - self._small.limit)
        self.large_bodies: set[LargeBody] = set()
        """The requests with large bodies that have room."""
        self.ahead = Budget(limits.body_bytes // 4)
        """Bytes that arrive while the request before them runs."""
        self._burst = 0
        self.replies = Budget(limits.unread_bytes)
        self._by_address: Counter[str] = Counter()
        self._connections = self._reserved = 0
        self._logged: dict[Refusal, float] = {}
        metrics.body_bytes.set_function(
            lambda: self._small.used + self._large.used + self.ahead.used
        )
        metrics.unread_bytes.set_function(lambda: self.replies.used)
        metrics.connections.set_function(lambda: self._connections)

    def bodies(self, size: int) -> Budget:
        """Return the budget for a body of `size` bytes. Small ones have a quarter of all bytes."""
        return self._small if size <= SMALL else self._large

    def is_burst(self, size: int) -> bool:
        """Count bytes that arrived. Return whether they are too many before `end_burst`."""
        before = self._burst
        self._burst += size
        return before < _BURST <= self._burst

    def end_burst(self) -> None:
        """Count from 0 again: the requests that arrived have been looked at."""
        self._burst = 0

    # Connections

    def connect(self, address: str, *, is_proxy: bool = False) -> Refusal | None:
        """Count a connection. Return why its requests are to be refused, or None.

        The cap for addresses does not hold for a trusted proxy, which has those of its clients.
        """
        self._connections += 1
        self._by_address[address] += 1
        if self._connections - self._reserved > self._limits.connections:
            refusal = Refusal.CONNECTIONS
        elif not is_proxy and 0 < self._limits.connections_of_address < self._by_address[address]:
            refusal = Refusal.ADDRESS
        else:
            return None
        self._reserved += 1
        return refusal

    @property
    def has_reserve(self) -> bool:
        """Return whether the last connection above the caps is to be answered."""
        return self._reserved <= RESERVED_CONNECTIONS

    def disconnect(self, address: str, refusal: Refusal | None) -> None:
        """Forget a connection."""
        self._connections -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        if refusal is not None:
            self._reserved -= 1

    # Refusals

    def refuse(self, refusal: Refusal, address: str) -> CallError:
        """Count a refusal, log it at most once a minute, and return its error."""
        self._metrics.refusals.labels(refusal.value).inc()
        reason = self._reason(refusal)
        now = monotonic()
        if now - self._logged.get(refusal, -_LOG_EVERY) >= _LOG_EVERY:
            self._logged[refusal] = now
            log.warning("overloaded: %s", reason, extra=fields(reason=refusal, client=address))
        is_connection = refusal in {Refusal.CONNECTIONS, Refusal.ADDRESS}
        return CallError(
            ErrorCode.UNAVAILABLE if is_connection else ErrorCode.OVERLOADED,
            f"The server is overloaded: {reason}. Nothing was done; retry in a second.",
            retry_after=_RETRY_AFTER,
        )

    def _reason(self, refusal: Refusal) -> str:
        match refusal:
            case Refusal.BODIES:
                size, option = self._limits.body_bytes, "--max-total-body-bytes"
                return f"the request bodies in progress take all of {size} bytes ({option})"
            case Refusal.REPLIES:
                size, option = self._limits.unread_bytes, "--max-unread-bytes"
                return f"the replies that clients have not read take all of {size} bytes ({option})"
            case Refusal.CONNECTIONS:
                number, option = self._limits.connections, "--max-connections"
                return f"it has {number} connections, the maximum ({option})"
            case Refusal.ADDRESS:
                number = self._limits.connections_of_address
                option = "--max-connections-per-address"
                return f"it has {number} connections from one address, the maximum ({option})"
