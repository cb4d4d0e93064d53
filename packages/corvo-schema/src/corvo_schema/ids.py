"""Identifiers: a prefix for the kind and a ULID, which sorts them by creation time."""

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_STEM_SHIFTS = tuple(range(100, -1, -10))
_ULID_SHIFTS = (120, 110, *_STEM_SHIFTS)
_ULID_PATTERN = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_JOB_ID = re.compile(f"job_{_ULID_PATTERN}")
BATCH_ID_PATTERN = f"batch_{_ULID_PATTERN}"
"""Regular expression of a batch id."""
_BATCH_ID = re.compile(BATCH_ID_PATTERN)
_COUNTER_BITS = 20
_RANDOM_BYTES = 10
_DRAWN_AT_ONCE = 256

# A forked child inherits the state of every factory and would otherwise create its parent's ids.
_forks = 0


def _count_fork() -> None:
    global _forks  # noqa: PLW0603
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class IdFactory:
    """Creates strictly increasing ids, also within a millisecond and when the clock goes back.

    `clock_ms` returns milliseconds since the epoch. Thread-safe and fork-safe.
    """

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._reset()

    def job(self) -> str:
        """Return a new job id, `job_` and a ULID."""
        return "job_" + self._ulid()

    def jobs(self, count: int) -> list[str]:
        """Return `count` new job ids in order. This is cheaper than `count` calls of `job`."""
        return self._many("job_", count)

    def batch(self) -> str:
        """Return a new batch id, `batch_` and a ULID."""
        return "batch_" + self._ulid()

    def schedule(self) -> str:
        """Return a new schedule id, `sched_` and a ULID."""
        return "sched_" + self._ulid()

    def bulk(self) -> str:
        """Return a new id of a bulk operation, `bulk_` and a ULID."""
        return "bulk_" + self._ulid()

    def _reset(self) -> None:
        self._forks = _forks
        self._lock = threading.Lock()
        self._ms = -1
        self._drawn: list[int] = []
        self._stem = ""
        self._high = 0
        self._counter = 0

    def _enter_process(self) -> None:
        if self._forks != _forks:
            self._reset()

    def _ulid(self) -> str:
        self._enter_process()
        ms = self._clock_ms()
        with self._lock:
            self._advance(ms)
            return self._stem + _PAIRS[self._counter >> 10] + _PAIRS[self._counter & 1023]

    def _many(self, prefix: str, count: int) -> list[str]:
        self._enter_process()
        ms = self._clock_ms()
        made: list[str] = []
        with self._lock:
            while len(made) < count:
                self._advance(ms)
                stem, first = prefix + self._stem, self._counter
                end = min(first + count - len(made), 1 << _COUNTER_BITS)
                made += [stem + _PAIRS[i >> 10] + _PAIRS[i & 1023] for i in range(first, end)]
                self._counter = end - 1
        return made

    def _advance(self, ms: int) -> None:
        """Advance to the next id."""
        if ms > self._ms:
            self._enter(ms)
        else:
            self._counter += 1
            if self._counter >> _COUNTER_BITS:
                self._carry()

    def _enter(self, ms: int) -> None:
        """Start a millisecond with new random bits; ids within it count up the last 20 bits.

        The first 22 of the 26 characters stay the same, so further ids of the millisecond are
        cheap.
        """
        if not self._drawn:
            self._draw()
        random = self._drawn.pop()
        # The highest bit stays 0, so that counting up cannot overflow.
        self._high = (random >> _COUNTER_BITS) & (2**59 - 1)
        self._counter = random & (2**_COUNTER_BITS - 1)
        self._ms = ms
        self._stem = self._encode_stem()

    def _draw(self) -> None:
        """Draw random numbers for many milliseconds: each system call releases the GIL."""
        drawn = os.urandom(_RANDOM_BYTES * _DRAWN_AT_ONCE)
        starts = range(0, len(drawn), _RANDOM_BYTES)
        self._drawn = [int.from_bytes(drawn[i : i + _RANDOM_BYTES]) for i in starts]

    def _carry(self) -> None:
        self._high += 1
        self._counter = 0
        self._stem = self._encode_stem()

    def _encode_stem(self) -> str:
        whole = self._ms << (80 - _COUNTER_BITS) | self._high
        if not 0 <= self._ms < 2**48:
            raise OverflowError(f"a ULID cannot hold {self._ms} milliseconds since the epoch")
        return "".join([_PAIRS[whole >> shift & 1023] for shift in _STEM_SHIFTS])


def _system_clock_ms() -> int:
    return time.time_ns() // 1_000_000


_system = IdFactory(_system_clock_ms)


def new_job_id() -> str:
    """Return a new job id. It is unique without a call to the server."""
    return _system.job()


def new_job_ids(count: int) -> list[str]:
    """Return `count` new job ids in order."""
    return _system.jobs(count)


def new_batch_id() -> str:
    """Return a new batch id."""
    return _system.batch()


def new_schedule_id() -> str:
    """Return a new schedule id."""
    return _system.schedule()


def new_bulk_id() -> str:
    """Return a new id of a bulk operation."""
    return _system.bulk()


def derive_job_id(origin: str, ms: int) -> str:
    """Return a job id that depends only on `origin` (any text) and `ms` (since the epoch).

    Repeated enqueues with this id store one job.
    """
    digest = hashlib.sha256(f"{ms}/{origin}".encode()).digest()
    ulid = int.from_bytes(ms.to_bytes(6) + digest[:10])
    return "job_" + "".join([_PAIRS[ulid >> shift & 1023] for shift in _ULID_SHIFTS])


def is_job_id(text: str) -> bool:
    """Return whether a text is a job id in canonical form: `job_` and an upper-case ULID."""
    return _JOB_ID.fullmatch(text) is not None


def is_batch_id(text: str) -> bool:
    """Return whether a text is a batch id in canonical form."""
    return _BATCH_ID.fullmatch(text) is not None


def _check_job_id(text: str) -> str:
    if _JOB_ID.fullmatch(text) is None:
        raise ValueError(
            "must be job_ and a ULID in upper case, e.g. job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
        )
    return text


JobId = Annotated[
    str,
    AfterValidator(_check_job_id),
    WithJsonSchema({"type": "string", "pattern": f"^job_{_ULID_PATTERN}$"}),
]
"""A job id in canonical form, chosen by the client."""
