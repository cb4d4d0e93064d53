"""How an attempt can end: what a handler may say, and what is then reported to the server."""

from dataclasses import dataclass
from typing import Any

from corvo_schema.durations import MAX_DURATION_MS


class Snooze(Exception):
    """Return or raise it: give the job back for `seconds`; the attempt does not count.

    Raises ValueError below zero and above ten years.
    """

    def __init__(self, seconds: float) -> None:
        if not 0 <= seconds * 1000 <= MAX_DURATION_MS:
            raise ValueError(f"a job cannot be snoozed for {seconds} seconds")
        super().__init__(seconds)
        self.seconds = seconds


class Cancel(Exception):
    """Return or raise it: end the job as cancelled, with this reason and no further attempts."""

    def __init__(self, reason: str = "cancelled by its handler") -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Exception):
    """Return or raise it: fail this attempt, and let the job's backoff decide about the next."""

    def __init__(self, reason: str = "retry requested by its handler") -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler did its work. `result` is plain JSON data."""

    result: Any = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed: `retry=False` means for good, `cancel=True` ends the job as cancelled."""

    error: str
    backtrace: str | None = None
    retry: bool = True
    cancel: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """The job goes back without the attempt counted, to come again after `delay` seconds."""

    delay: float = 0.0


Outcome = Completed | Failed | Released
"""What is reported of an attempt."""
