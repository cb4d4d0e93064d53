"""Group adjacent rows of a commit that share values, so that one statement writes each group."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

Item = TypeVar("Item")
Key = TypeVar("Key")

_MIN_RUN = 8
"""Rows from which a group is written faster by its own statement."""


def runs_of(
    items: Sequence[Item], key: Callable[[Item], Key | None]
) -> Iterator[tuple[Key | None, slice]]:
    """Split `items` into slices of adjacent items with the same key, in their order.

    Yields (key, slice). Items whose key is None and groups of fewer than `_MIN_RUN` items are
    merged into slices with the key None.
    """
    start = end = 0  # the items that were read but not yielded yet
    for found, run in groupby(items, key):
        size = sum(1 for _ in run)
        if found is not None and size >= _MIN_RUN:
            if start < end:
                yield None, slice(start, end)
            start = end + size
            yield found, slice(end, start)
        end += size
    if start < end:
        yield None, slice(start, end)
