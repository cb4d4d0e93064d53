"""Exponential backoff with jitter."""

import random

_FAILURES_PER_WARNING = 20


class Backoff:
    """Delays that double from `base` to `cap` seconds, each multiplied by 0.5 to 1 at random.

    The jitter prevents many workers from retrying at the same moment.
    """

    def __init__(self, base: float = 0.1, cap: float = 15.0) -> None:
        self._base = base
        self._cap = cap
        self.failures = 0

    @property
    def should_log(self) -> bool:
        """True if the next failure should be logged: the first of every 20 in a row."""
        return self.failures % _FAILURES_PER_WARNING == 0

    def next(self) -> float:
        """Count a failure and return how many seconds to wait."""
        # The bound of the exponent prevents an overflow after very many failures.
        delay = min(self._cap, self._base * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret

    def reset(self) -> None:
        """Reset the number of failures after a success."""
        self.failures = 0
