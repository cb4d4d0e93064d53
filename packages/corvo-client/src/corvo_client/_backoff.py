"""How long to wait before trying again what just failed."""

import random

_FAILURES_PER_LINE = 20


class Backoff:
    """Delays that double from `base` to `cap` seconds, each cut at random to a half at least.

    The randomness keeps a thousand workers from coming back in the same instant.
    """

    def __init__(self, base: float = 0.1, cap: float = 15.0) -> None:
        self._base = base
        self._cap = cap
        self.failures = 0

    @property
    def is_news(self) -> bool:
        """True where a failure deserves a line in the log: the first, and now and then one more."""
        return self.failures % _FAILURES_PER_LINE == 0

    def next(self) -> float:
        """Count a failure and return how long to wait now, in seconds."""
        # The exponent is bounded, so that a week of failures does not overflow.
        delay = min(self._cap, self._base * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret

    def reset(self) -> None:
        """Start over: it worked."""
        self.failures = 0
