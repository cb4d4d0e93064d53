"""What is alike in many rows of a commit is sent and written once for all of them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

Item = TypeVar("Item")
Key = TypeVar("Key")

_FEW = 8
"""Fewer rows than that are not worth a statement of their own."""


def runs_of(
    items: Sequence[Item], key: Callable[[Item], Key | None]
) -> Iterator[tuple[Key | None, slice]]:
    """Where items that follow each other have the same key, in their order.

    The key is None for those that have none, and for those of short runs, taken together.
    """
    start = end = 0  # of what has not been told
    for found, run in groupby(items, key):
        size = sum(1 for _ in run)
        if found is not None and size >= _FEW:
            if start < end:
                yield None, slice(start, end)
            start = end + size
            yield found, slice(end, start)
        end += size
    if start < end:
        yield None, slice(start, end)
