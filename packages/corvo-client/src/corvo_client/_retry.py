"""Retry policy of calls."""

import math
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from corvo_client._errors import (
    ApiError,
    ConnectionFailed,
    CorvoError,
    InvalidSetting,
    Overloaded,
    Unavailable,
)
from corvo_schema import ErrorCode

Sleep = Callable[[float], None]
AsyncSleep = Callable[[float], Awaitable[None]]

_VARIABLE = "CORVO_RETRY_SECONDS"
_LEAST_SECONDS = 1.0
"""Limit of an attempt that begins when the time is almost up: a healthy server answers by then."""
_BYTES_PER_SECOND = 1_000_000
"""Speed of a slow upload. Concurrent calls of an async client share requests of up to 4 MB."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Limits and delays of retries. Times are in seconds.

    Only temporary failures are retried, and only if a retry has no second effect: nothing was sent,
    the server answered that it changed nothing, or the call is repeatable. Repeatable are reads,
    enqueues (they carry a job id), and ack, fail and release with a lease token. A delay is random
    between zero and a bound that doubles; `Retry-After` is added to it. No attempt starts after
    `max_elapsed`. An `enqueue` gives up a silent server then, too: an attempt takes as long as is
    left, but at least 1 s. The default is short, because a caller waits, e.g. a web request; a
    program that rather waits than fails needs more. The default `max_attempts` is so high that only
    `max_elapsed` matters.
    """

    max_attempts: int = 100
    max_elapsed: float = 5.0
    first_delay: float = 0.1
    longest_delay: float = 5.0

    def pause(
        self, error: CorvoError, *, repeatable: bool, attempt: int, elapsed: float, draw: float
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or None for no more attempts.

        `attempt` is the number of attempts made; `draw` is a random number from 0 to 1.
        """
        if attempt >= self.max_attempts or not _may_repeat(error, repeatable=repeatable):
            return None
        delay = self.delay(error, attempt, draw)
        return delay if elapsed + delay <= self.max_elapsed else None

    def attempt_limit(self, size: int, elapsed: float) -> float:
        """Return the seconds that an attempt of a prompt call may take after `elapsed` seconds.

        `size` is the size of its request in bytes.
        """
        return max(self.max_elapsed - elapsed, _LEAST_SECONDS) + size // _BYTES_PER_SECOND

    def delay(self, error: CorvoError | None, attempt: int, draw: float) -> float:
        """Return the seconds to wait after attempt number `attempt`, ignoring the limits."""
        # The bound of the exponent prevents an overflow: a stream may be retried for days.
        bound = min(self.longest_delay, self.first_delay * 2.0 ** min(attempt - 1, 32))
        asked = error.retry_after if isinstance(error, ApiError) else None
        return draw * bound + (asked or 0.0)


NO_RETRIES = RetryPolicy(max_attempts=1)
"""Raise the first failure."""


def default_policy() -> RetryPolicy:
    """Return the policy with the `max_elapsed` of CORVO_RETRY_SECONDS. Raises `InvalidSetting`."""
    text = os.environ.get(_VARIABLE)
    if not text:
        return RetryPolicy()
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InvalidSetting(
            f"{_VARIABLE} must be a number of seconds, like 5 or 0.5, not {text!r}"
        )
    return RetryPolicy(max_elapsed=seconds)


def _may_repeat(error: CorvoError, *, repeatable: bool) -> bool:
    if not error.is_transient:
        return False
    if isinstance(error, ConnectionFailed | Overloaded):
        return True
    if isinstance(error, Unavailable) and error.code == ErrorCode.UNAVAILABLE:
        # The code proves that Corvo answered; it changes nothing then. A proxy has no code.
        return True
    return repeatable
