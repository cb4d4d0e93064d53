"""Durations: text such as `250ms`, `5s`, `10m`, `1h30m` or `7d` on the wire.

In Python, a duration is a whole number of milliseconds.
"""

import math
import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticUseDefault

MAX_DURATION_MS = 3650 * 86_400_000
"""Maximum duration: ten years. The sum of a duration and a time never overflows."""

_MAX_SECONDS = MAX_DURATION_MS // 1000

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
_DURATION = re.compile("".join(f"(?:{_NUMBER}{unit})?" for unit, _ in _UNITS))
_JSON_PATTERN = "^(?=.)" + "".join(f"({_NUMBER}{unit})?" for unit, _ in _UNITS) + "$"
_HINT = "write it like 250ms, 5s, 10m, 1h30m or 7d"


def parse_duration(text: str) -> int:
    """Return the milliseconds of a duration, rounded down.

    Units are d, h, m, s and ms, each at most once, largest first; numbers may have decimals.
    Raise ValueError for any other text, and for more than ten years.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"{_shortened(text)} is not a duration; {_HINT}")
    total = 0
    for number, (_, unit) in zip(match.groups(), _UNITS, strict=True):
        if number is not None:
            whole, _, decimals = number.partition(".")
            total += int(whole) * unit
            if decimals:
                total += int(decimals) * unit // 10 ** len(decimals)
    return _bounded(total)


def format_duration(ms: int) -> str:
    """Return a duration as text in the largest units that fit: 5400000 ms are `1h30m`.

    Raise ValueError if it is negative.
    """
    if ms < 0:
        raise ValueError(f"a duration cannot be negative: {ms} ms")
    parts = []
    rest = ms
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _bounded(ms: int) -> int:
    if ms < 0:
        raise ValueError("a duration cannot be negative")
    if ms > MAX_DURATION_MS:
        raise ValueError("a duration cannot be longer than ten years (3650d)")
    return ms


def _shortened(text: str) -> str:
    return repr(text) if len(text) <= 40 else repr(text[:40]) + "…"


def _read_duration(value: Any) -> int:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, timedelta):
        return _bounded(value // timedelta(milliseconds=1))
    if value is None:
        raise PydanticUseDefault
    raise ValueError(f"must be a duration; {_HINT}")


def _read_seconds(value: Any) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("must be a finite number of seconds")
        # The bounds prevent a product beyond the range of a float.
        return _bounded(round(max(-1, min(value, _MAX_SECONDS + 1)) * 1000))
    if isinstance(value, str | timedelta):
        return _read_duration(value)
    if value is None:
        raise PydanticUseDefault
    raise ValueError(f"must be a number of seconds or a duration; {_HINT}")


def _write_seconds(ms: int) -> int | str:
    seconds, rest = divmod(ms, 1000)
    return format_duration(ms) if rest else seconds


def _positive(ms: int) -> int:
    if ms == 0:
        raise ValueError("must be longer than 0s")
    return ms


def seconds_json(low: float = 0, high: int = MAX_DURATION_MS // 1000) -> dict[str, Any]:
    """Return the JSON schema of a field that takes seconds or a duration."""
    number = {"type": "number", "minimum": low, "maximum": high}
    return {"anyOf": [number, _DURATION_JSON], "examples": [30]}


_DURATION_JSON = {
    "type": "string",
    "format": "corvo-duration",
    "pattern": _JSON_PATTERN,
    "examples": ["5s", "1h30m"],
}

# Both types also serialise in Python mode, because validation would read bare milliseconds in a
# dump as seconds.
Duration = Annotated[
    int,
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(_DURATION_JSON),
]
"""A duration string (or a timedelta) on the wire, milliseconds in Python."""

Seconds = Annotated[
    int,
    BeforeValidator(_read_seconds),
    PlainSerializer(_write_seconds),
    WithJsonSchema(seconds_json()),
]
"""Plain seconds, a duration string or a timedelta on the wire, milliseconds in Python."""

PositiveSeconds = Annotated[Seconds, AfterValidator(_positive), WithJsonSchema(seconds_json(0.001))]
"""`Seconds` of at least 1 ms."""
