"""Outcomes of attempts: exceptions of handlers, and the reports to the server."""

from dataclasses import dataclass
from typing import Any

from corvo_schema.durations import MAX_DURATION_MS


class Snooze(Exception):
    """Release the job for `seconds`. The attempt does not count. Return it or raise it.

    Raises ValueError if `seconds` is below 0 or above ten years.
    """

    def __init__(self, seconds: float) -> None:
        if not 0 <= seconds * 1000 <= MAX_DURATION_MS:
            raise ValueError(f"seconds must be from 0 to {MAX_DURATION_MS // 1000}, not {seconds}")
        super().__init__(seconds)
        self.seconds = seconds


class Cancel(Exception):
    """End the job as cancelled, without further attempts. Return it or raise it."""

    def __init__(self, reason: str = "cancelled by its handler") -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Exception):
    """Fail this attempt. The job is retried with its backoff. Return it or raise it."""

    def __init__(self, reason: str = "retry requested by its handler") -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler succeeded. `result` is plain JSON data."""

    result: Any = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed. `retry=False` makes the job dead, `cancel=True` makes it cancelled."""

    error: str
    backtrace: str | None = None
    retry: bool = True
    cancel: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """The job is released, and can run again after `delay` seconds. The attempt does not count."""

    delay: float = 0.0


Outcome = Completed | Failed | Released
"""Outcome of an attempt that is reported to the server."""
