"""Sizes of texts in bytes of UTF-8: that is how they are stored and sent."""

from collections.abc import Iterable
from itertools import accumulate, takewhile


def size_of(text: str | None) -> int:
    """Return the number of bytes of `text`; 0 for None."""
    if text is None:
        return 0
    return len(text) if text.isascii() else len(text.encode())


def count_fitting(sizes: Iterable[int], max_bytes: int) -> int:
    """Return how many of the first `sizes` have a total of up to `max_bytes`; at least 1."""
    totals = accumulate(sizes)
    return max(1, sum(1 for _ in takewhile(lambda total: total <= max_bytes, totals)))
