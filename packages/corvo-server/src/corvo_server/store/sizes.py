"""Sizes of texts: in bytes of UTF-8, as they are stored and sent, and in memory."""

from collections.abc import Iterable
from itertools import accumulate, takewhile
from sys import getsizeof

MAX_FAILURES = 1024 * 1024
"""Bytes of the newest errors of a job that reads return."""
MAX_TIMELINE = 4 * 1024 * 1024
"""Bytes of the newest events of a job that reads return."""
MEMORY_OF_ITEM = 1_000
"""Bytes of memory of one item of a waiting write, without its documents."""


def size_of(text: str | None) -> int:
    """Return the number of bytes of `text` in UTF-8; 0 for None."""
    if text is None:
        return 0
    return len(text) if text.isascii() else len(text.encode())


def memory_of(*texts: str | None) -> int:
    """Return the number of bytes of memory that the texts take. Takes no time for long texts."""
    return sum([getsizeof(text) for text in texts if text is not None])


def count_fitting(sizes: Iterable[int], max_bytes: int) -> int:
    """Return how many of the first `sizes` have a total of up to `max_bytes`; at least 1."""
    totals = accumulate(sizes)
    return max(1, sum(1 for _ in takewhile(lambda total: total <= max_bytes, totals)))
