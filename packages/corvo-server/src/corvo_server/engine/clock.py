"""The server's one clock."""

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], int]
"""Tells the time in milliseconds since the epoch. Injected everywhere, so that tests move it."""


def system_clock() -> int:
    """The time of the machine."""
    return time.time_ns() // 1_000_000
