"""Outcomes of attempts: exceptions of handlers, and the reports to the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Any, Never, SupportsFloat

from corvo_client.worker._description import text_of
from corvo_schema.durations import MAX_DURATION_MS


class Snooze(Exception):
    """Release the job for a time: seconds or a timedelta. Return it or raise it.

    The attempt does not count. Raises TypeError for anything else, and ValueError if the time is
    below 0 or above ten years.
    """

    def __init__(self, seconds: float | timedelta) -> None:
        self.seconds = seconds_of(seconds)
        super().__init__(self.seconds)


class Cancel(Exception):
    """End the job as cancelled, without further attempts. Return it or raise it.

    The reason may be any object, such as an error; its text is stored.
    """

    def __init__(
        self, reason: object = "cancelled by its handler", *more: Never, **unknown: Never
    ) -> None:
        _refuse("Cancel", "", more, unknown)
        # Only the text: the reason itself may be impossible to pickle.
        self.reason = text_of(reason)
        super().__init__(self.reason)


class Retry(Exception):
    """Fail this attempt. The job is retried with its backoff. Return it or raise it.

    The reason may be any object, such as an error; its text is stored.
    """

    def __init__(
        self, reason: object = "retry requested by its handler", *more: Never, **unknown: Never
    ) -> None:
        _refuse("Retry", _NO_DELAY, more, unknown)
        # Only the text: the reason itself may be impossible to pickle.
        self.reason = text_of(reason)
        super().__init__(self.reason)


_NO_DELAY = (
    "; the delay is the backoff of the job, which its enqueue sets with retry_backoff and "
    "retry_base_delay; raise Snooze(seconds) to choose a delay without counting the attempt"
)


def seconds_of(delay: object) -> float:
    """Return the delay of a `Snooze` in seconds. Raises TypeError and ValueError."""
    if isinstance(delay, timedelta):
        delay = delay.total_seconds()
    if isinstance(delay, bool) or not isinstance(delay, SupportsFloat):
        raise TypeError(f"Snooze takes seconds or a timedelta, not {text_of(type(delay))}")
    try:
        seconds = float(delay)
    except OverflowError:
        seconds = inf
    if not 0 <= seconds <= MAX_DURATION_MS // 1000:
        longest = MAX_DURATION_MS // 1000
        raise ValueError(f"seconds must be from 0 to {longest}, not {seconds}")
    return seconds


def _refuse(name: str, hint: str, more: tuple[object, ...], unknown: Mapping[str, object]) -> None:
    if more or unknown:
        given = ", ".join(unknown) or f"{len(more) + 1} arguments"
        raise TypeError(f"{name} takes only a reason, not {given}{hint}")


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
