"""When a call that failed is made again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from corvo_client._errors import (
    ApiError,
    ConnectionFailed,
    CorvoError,
    Overloaded,
    Unavailable,
)

Sleep = Callable[[float], None]
AsyncSleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and for how long a call is repeated; times in seconds.

    Only failures that may pass are followed by another attempt, and only where a second effect is
    impossible: nothing was sent, the server said that it did nothing, or the call can be repeated
    (reads; enqueues, which carry their own job id; outcomes with a lease token). Delays are drawn
    at random from zero to a bound that doubles, so that callers who failed together do not come
    back together; a `Retry-After` comes on top. No attempt begins after `max_elapsed`; by default
    the time decides, and not the number of attempts, which luck may use up in an instant.
    """

    max_attempts: int = 100
    max_elapsed: float = 30.0
    first_delay: float = 0.1
    longest_delay: float = 5.0

    def pause(
        self, error: CorvoError, *, repeatable: bool, attempt: int, elapsed: float, draw: float
    ) -> float | None:
        """Return how long to wait before the next attempt, or None when there is to be none.

        `attempt` is the number of attempts made, `draw` a random number from 0 to 1.
        """
        if attempt >= self.max_attempts or not _may_repeat(error, repeatable=repeatable):
            return None
        delay = self.delay(error, attempt, draw)
        return delay if elapsed + delay <= self.max_elapsed else None

    def delay(self, error: CorvoError | None, attempt: int, draw: float) -> float:
        """Return how long to wait after so many attempts, however many there are to be."""
        # The exponent is bounded: a stream may be tried for again for days.
        bound = min(self.longest_delay, self.first_delay * 2.0 ** min(attempt - 1, 32))
        asked = error.retry_after if isinstance(error, ApiError) else None
        return draw * bound + (asked or 0.0)


NO_RETRIES = RetryPolicy(max_attempts=1)
"""Report every failure at once."""


def _may_repeat(error: CorvoError, *, repeatable: bool) -> bool:
    if not error.is_transient:
        return False
    if isinstance(error, ConnectionFailed | Overloaded):
        return True
    if isinstance(error, Unavailable) and error.code:
        # The server itself says so, and it changes nothing when it does. A proxy cannot promise.
        return True
    return repeatable
