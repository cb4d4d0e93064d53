"""Log lines about a lasting trouble: when it begins, once a minute while it lasts, at its end."""

import logging

_AGAIN_AFTER = 60.0
"""Seconds between two lines about the same trouble."""


class Notice:
    """Logs one kind of trouble."""

    def __init__(self, log: logging.Logger, level: int, end: str) -> None:
        """`level` is the severity of the lines; `end` is the line that ends them."""
        self._log = log
        self._level = level
        self._end = end
        self._logged_at: float | None = None

    def note(self, trouble: str | None, now: float) -> None:
        """Log `trouble` unless it was logged within the last minute. None means that it ended."""
        if trouble is None:
            if self._logged_at is not None:
                self._log.info(self._end)
            self._logged_at = None
        elif self._logged_at is None or now - self._logged_at >= _AGAIN_AFTER:
            self._logged_at = now
            self._log.log(self._level, trouble)
