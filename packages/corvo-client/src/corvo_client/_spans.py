"""Where the values of a JSON text are. They are found without changing a byte of the text.

Parsing and writing again would change numbers such as 1.50 or 1e400. The functions expect JSON of
a client or a server, and raise ValueError for any other text.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple


def _skip(text: str) -> str:
    return text


# The scanner in C finds the end of a value. Numbers stay text: converting them costs time, and
# Python refuses integers of more than 4,300 digits.
_decode = json.JSONDecoder(parse_float=_skip, parse_int=_skip, strict=False).raw_decode
_BLANKS = " \t\n\r"


class Span(NamedTuple):
    """A value is `text[start:end]`."""

    start: int
    end: int


def is_object(text: str, at: int = 0) -> bool:
    """Return whether the value at `at` is an object."""
    return text.startswith("{", _past_blanks(text, at))


def members(text: str, at: int = 0) -> Iterator[tuple[str, Span]]:
    """Yield the name and the value of each member of the object at `at`; nothing for others."""
    at = _past_blanks(text, at)
    if not text.startswith("{", at):
        return
    at = _past_blanks(text, at + 1)
    while not text.startswith("}", at):
        if not text.startswith('"', at):
            raise ValueError("a name was expected")
        name, at = _decode(text, at)
        span = _value(text, _past_blanks(text, at) + 1)
        yield name, span
        at = _past_comma(text, span.end)


def items(text: str, at: int = 0) -> Iterator[Span]:
    """Yield the elements of the array at `at`; nothing for others."""
    at = _past_blanks(text, at)
    if not text.startswith("[", at):
        return
    at = _past_blanks(text, at + 1)
    while not text.startswith("]", at):
        span = _value(text, at)
        yield span
        at = _past_comma(text, span.end)


def _value(text: str, at: int) -> Span:
    start = _past_blanks(text, at)
    return Span(start, _decode(text, start)[1])


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _past_comma(text: str, at: int) -> int:
    at = _past_blanks(text, at)
    if text.startswith(",", at):
        return _past_blanks(text, at + 1)
    if not text.startswith(("}", "]"), at):
        raise ValueError("a comma was expected")
    return at
