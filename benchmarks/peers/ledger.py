"""Record the start of each job by its number in a file that several processes share.

A record has three unsigned 64-bit integers: the time of sending, the time of the last start (both
in ns of the monotonic clock, which all processes share), and the number of starts. The file runs in
the environments of the systems under test, so it needs only the standard library.
"""

import mmap
import struct
import time
from collections.abc import Sequence
from pathlib import Path

_RECORD = struct.Struct("=QQQ")
_TIME = struct.Struct("=Q")
_START = struct.Struct("=QQ")
_WORDS = 3


class Ledger:
    """The records of jobs in the file at `path`. If `jobs` is given, the file is created anew."""

    def __init__(self, path: str | Path, jobs: int | None = None) -> None:
        path = Path(path)
        if jobs is not None:
            path.write_bytes(bytes(_RECORD.size * jobs))
        with path.open("r+b") as file:
            self._records = mmap.mmap(file.fileno(), 0)

    def __len__(self) -> int:
        return len(self._records) // _RECORD.size

    def send(self, number: int) -> None:
        """Record that the job is about to be enqueued."""
        _TIME.pack_into(self._records, number * _RECORD.size, time.monotonic_ns())

    def start(self, number: int) -> None:
        """Record that the job is started."""
        at = number * _RECORD.size + _TIME.size
        _, runs = _START.unpack_from(self._records, at)
        _START.pack_into(self._records, at, time.monotonic_ns(), runs + 1)

    def rows(self, numbers: range) -> Sequence[tuple[int, int, int]]:
        """Return time of sending, time of the last start and number of starts for each job."""
        data = self._records[numbers.start * _RECORD.size : numbers.stop * _RECORD.size]
        return list(_RECORD.iter_unpack(data))

    def count_started(self, numbers: range) -> int:
        """Return how many of these jobs were started."""
        with memoryview(self._records) as records, records.cast("Q") as words:
            starts = words[numbers.start * _WORDS + 2 : numbers.stop * _WORDS : _WORDS].tolist()
        return len(starts) - starts.count(0)
