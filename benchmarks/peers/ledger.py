"""A file in which each job is ticked off by its number, from any process.

A slot holds three unsigned 64-bit integers: when the job was sent, when it was started (both in
nanoseconds of the monotonic clock, which all processes share), and how often it was started.
Runs in the environments of the systems under test, so it needs nothing but the standard library.
"""

import mmap
import struct
import time
from collections.abc import Sequence
from pathlib import Path

_SLOT = struct.Struct("=QQQ")
_TIME = struct.Struct("=Q")
_START = struct.Struct("=QQ")
_WORDS = 3


class Ledger:
    """The slots of so many jobs; the file is made if need be."""

    def __init__(self, path: str | Path, jobs: int | None = None) -> None:
        path = Path(path)
        if jobs is not None:
            path.write_bytes(bytes(_SLOT.size * jobs))
        with path.open("r+b") as file:
            self._slots = mmap.mmap(file.fileno(), 0)

    def __len__(self) -> int:
        return len(self._slots) // _SLOT.size

    def send(self, number: int) -> None:
        """The job is about to be enqueued."""
        _TIME.pack_into(self._slots, number * _SLOT.size, time.monotonic_ns())

    def start(self, number: int) -> None:
        """The job is started."""
        at = number * _SLOT.size + _TIME.size
        _, runs = _START.unpack_from(self._slots, at)
        _START.pack_into(self._slots, at, time.monotonic_ns(), runs + 1)

    def rows(self, numbers: range) -> Sequence[tuple[int, int, int]]:
        """Sent, started, and number of starts of these jobs."""
        data = self._slots[numbers.start * _SLOT.size : numbers.stop * _SLOT.size]
        return list(_SLOT.iter_unpack(data))

    def count_started(self, numbers: range) -> int:
        """How many of these jobs were started."""
        with memoryview(self._slots) as slots, slots.cast("Q") as words:
            starts = words[numbers.start * _WORDS + 2 : numbers.stop * _WORDS : _WORDS].tolist()
        return len(starts) - starts.count(0)
