"""Log records of handler processes: they are sent to the worker, which handles them as its own."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from corvo_client.worker._leases import jsonable

Levels = dict[str, int]
"""Levels by name of logger; the root logger has an empty name."""

_PLAIN = (str, int, float, bool, type(None))
_formatter = logging.Formatter()


@dataclass(frozen=True, slots=True)
class LogRecord:
    """Attributes of a log record as plain data, with the message as a text."""

    attributes: dict[str, Any]


def current_levels() -> Levels:
    """Return the levels that are set in this process."""
    root = logging.getLogger()
    levels = {
        name: logger.level
        for name, logger in root.manager.loggerDict.copy().items()
        if isinstance(logger, logging.Logger) and logger.level
    }
    return {**levels, "": root.level}


def handle(record: LogRecord) -> None:
    """Handle a record of another process like one of this process."""
    made = logging.makeLogRecord(record.attributes)
    # An error of the application's filters must not become the outcome of the job.
    with contextlib.suppress(Exception):
        logger = logging.getLogger(str(made.name or ""))
        if logger.isEnabledFor(made.levelno):
            logger.handle(made)


class Forwarder(logging.Handler):
    """Sends all records of this process. It replaces the handlers of the root logger.

    `about` has attributes that are added to records without them.
    """

    def __init__(self, send: Callable[[LogRecord], None]) -> None:
        super().__init__()
        self._send = send
        self._levels: Levels = {}
        self.about: dict[str, Any] = {}

    def install(self) -> None:
        """Replace the handlers that the main module, or the module of a handler, has set.

        The worker has run the same code, so these handlers would write each record twice.
        """
        root = logging.getLogger()
        if root.handlers != [self]:
            root.handlers[:] = [self]

    def set_levels(self, levels: Levels) -> None:
        """Take over the levels of the worker, if they have changed."""
        if levels == self._levels:
            return
        for name in self._levels.keys() - levels.keys():
            logging.getLogger(name).setLevel(logging.NOTSET)
        for name, level in levels.items():
            logging.getLogger(name or None).setLevel(level)
        self._levels = levels

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record. If that fails, `logging` reports it on stderr."""
        try:
            self._send(LogRecord(self.about | _plain_attributes(record)))
        except Exception:  # noqa: BLE001 - as all handlers of `logging` do
            self.handleError(record)


def _plain_attributes(record: logging.LogRecord) -> dict[str, Any]:
    attributes = {name: _plain(value) for name, value in vars(record).items() if name != "args"}
    return attributes | {
        "msg": _message(record),
        "args": None,
        "exc_info": None,
        "exc_text": _traceback(record),
    }


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - formatting runs code of any class
        return f"{_safe_repr(record.msg)} % {_safe_repr(record.args)} ({type(error).__name__})"


def _traceback(record: logging.LogRecord) -> str | None:
    if not record.exc_info or record.exc_text:
        return record.exc_text
    try:
        return _formatter.formatException(record.exc_info)
    except Exception:  # noqa: BLE001 - formatting runs code of any class
        return _safe_repr(record.exc_info[1])


def _plain(value: Any) -> Any:
    """Return a value that any process can unpickle: JSON data, or a text."""
    if type(value) in _PLAIN:
        return value
    try:
        return jsonable(value)
    except Exception:  # noqa: BLE001 - conversion runs code of any class
        return _safe_repr(value)


def _safe_repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - code of any class
        return f"<{type(value).__name__}>"
