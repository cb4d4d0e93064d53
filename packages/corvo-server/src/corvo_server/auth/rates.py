"""The rate limits of API keys: a bucket of tokens for each key, in the memory of this server."""

from collections.abc import Callable
from math import ceil
from time import monotonic


class Rates:
    """Counts requests by the name of their key, so that a new key after a rotation shares its rate.

    A bucket has room for the tokens of one second. So after a pause, a key may send the requests of
    a second at once.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` returns seconds."""
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """Tokens, and the time at which they were counted, by name."""

    def take(self, name: str, rate: int) -> int | None:
        """Take a token for a request. Return None, or after how many seconds to try again."""
        now = self._clock()
        tokens, counted_at = self._buckets.get(name, (float(rate), now))
        tokens = min(float(rate), tokens + max(0.0, now - counted_at) * rate)
        if tokens >= 1:
            self._buckets[name] = tokens - 1, now
            return None
        self._buckets[name] = tokens, now
        return max(1, ceil((1 - tokens) / rate))
