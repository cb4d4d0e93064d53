"""Format numbers and times for people, and escape text that would control a terminal."""

import re
from datetime import datetime

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_UNPRINTABLE = re.compile(
    "[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def span(seconds: float) -> str:
    """Format a length of time in its two largest units: `0s`, `42s`, `1h30m`, `12d`."""
    rest = int(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return "".join(parts) or "0s"


def age(moment: datetime | None, now: datetime) -> str:
    """Format a moment relative to now: `5m ago`, `in 2h`, `now`; empty for None."""
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def moment(at: datetime | None, now: datetime | None = None) -> str:
    """Format a moment to the millisecond: `2026-01-31 08:00:00.250Z (5m ago)`.

    Without `now`, omit the age. Return an empty text for None.
    """
    if at is None:
        return ""
    text = f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}Z"
    return text if now is None else f"{text} ({age(at, now)})"


def count(number: int, one: str, many: str = "") -> str:
    """Format a number with its noun: `1 job`, `12,000 jobs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def printable(text: str) -> str:
    """Return the text on one line, with control and invisible characters escaped.

    Payloads and error messages are untrusted: a terminal executes escape sequences in them.
    """
    return _UNPRINTABLE.sub(_escape, text)


def printable_lines(text: str) -> list[str]:
    """Split a text into lines and escape each of them."""
    return [printable(line.expandtabs()) for line in text.splitlines()]


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    return _ESCAPES.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
