"""Logging to stderr: one JSON object per line, or text on a terminal."""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, TextIO

import orjson

from corvo_schema.masks import mask_keys

REQUESTS = "corvo_server.request"

_CONTROLS = {
    number: f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
    for number in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
}
"""Escapes of the characters with which a value could begin a line or command a terminal."""


class LogFormat(StrEnum):
    """Format of log lines. `auto` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """Minimum severity of log lines. Request lines have the severity `info`."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return mask_keys(self._dumped(entry))

    def _dumped(self, entry: dict[str, Any]) -> str:
        try:
            return orjson.dumps(entry, default=str).decode()
        except TypeError:  # orjson refuses lone surrogates; write each as a question mark
            return (
                json.dumps(entry, default=str, ensure_ascii=False)
                .encode("utf-8", "replace")
                .decode()
            )


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(
            f" {name}={value}" for name, value in getattr(record, "fields", {}).items()
        )
        text = f"{record.getMessage()}{fields}".translate(_CONTROLS)
        line = f"{_time(record.created)} {record.levelname:<7} {text}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return mask_keys(line)


def configure(level: LogLevel, log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Send all logs of the process to `stream` (default: stderr)."""
    target = stream or sys.stderr
    is_text = log_format is LogFormat.TEXT or (log_format is LogFormat.AUTO and target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(_TextFormatter() if is_text else _JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.getLogger("sanic").setLevel(max(root.level, logging.WARNING))


def write_requests(entries: list[dict[str, object]]) -> None:
    """Write the log lines of several requests with a single write."""
    handler = logging.getLogger().handlers[0]
    logger = logging.getLogger(REQUESTS)
    # All lines share one log record, because creating a record takes longer than formatting it.
    record = logger.makeRecord(REQUESTS, logging.INFO, "", 0, "request", (), None)
    lines = []
    for entry in entries:
        record.fields = entry
        lines.append(handler.format(record) + "\n")
    stream = getattr(handler, "stream", sys.stderr)
    handler.acquire()
    try:
        stream.write("".join(lines))
        stream.flush()
    finally:
        handler.release()


def fields(**values: object) -> dict[str, object]:
    """Return the argument `extra` of a log call that adds named values to its line."""
    return {"fields": values}


@lru_cache(maxsize=1)
def _time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
