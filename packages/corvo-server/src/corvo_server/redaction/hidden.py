"""Secret values, and the masking of their occurrences in texts and JSON documents.

Values of fewer than three characters are masked only where they stand as a word of their own: `7`
in `expected 7`, not in `1970`. Truth values and null are not masked in texts.
"""

import json
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from math import isfinite

from corvo_server.redaction.tokens import TOKEN, read_string

MARK = "[redacted]"
"""What replaces a secret value."""
JSON_MARK = f'"{MARK}"'

_SHORT = 3
"""Number of characters below which a value is masked only as a word of its own."""
_MAX_VALUES = 100
"""Number of secret values of a payload above which every text of its job is masked as a whole.

It bounds the time of masking, which is that of a search for each value.
"""


class Hidden:
    """The secret values of one payload."""

    __slots__ = ("_is_all", "_long", "_numbers", "_short")

    def __init__(self, tokens: Iterable[str]) -> None:
        """`tokens` are JSON strings and numbers."""
        strings: set[str] = set()
        numbers: set[str] = set()
        for token in tokens:
            if token[0] == '"':
                strings.add(read_string(token))
            elif token[0] in "-0123456789":
                numbers.add(token)
        self._is_all = len(strings) + len(numbers) > _MAX_VALUES
        self._numbers: set[Decimal] = set()
        self._long: list[str] = []
        self._short: re.Pattern[str] | None = None
        if self._is_all:
            return
        self._numbers = {value for token in numbers if (value := _value_of(token)) is not None}
        forms = {form for text in strings for form in _spellings(text)}
        forms |= {form for token in numbers for form in _notations(token)}
        self._long = sorted(form for form in forms if len(form) >= _SHORT)
        words = [re.escape(form) for form in forms if len(form) < _SHORT and form.strip()]
        if words:
            self._short = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(words))})(?!\w)")

    def __bool__(self) -> bool:
        """Return whether there is anything to mask."""
        return self._is_all or bool(self._long) or self._short is not None

    def text(self, text: str) -> str:
        """Return a text with all occurrences of the values masked."""
        if not text or not self:
            return text
        if self._is_all:
            return MARK
        spans = [span for form in self._long for span in _spans(text, form)]
        if self._short is not None:
            spans += [match.span() for match in self._short.finditer(text)]
        return _masked(text, spans) if spans else text

    def optional(self, text: str | None) -> str | None:
        """Return what `text` returns; None for None."""
        return None if text is None else self.text(text)

    def document(self, text: str | None, *, number: str = JSON_MARK) -> str | None:
        """Return a JSON document with the values masked in its strings, names and numbers.

        `number` replaces a number. All other characters stay as they are.
        """
        if not text or not self:
            return text
        pieces: list[str] = []
        copied = 0
        for match in TOKEN.finditer(text):
            token = match[1]
            if token[0] == '"':
                value = read_string(token)
                masked = self.text(value)
                if masked == value:
                    continue
                after = json.dumps(masked)
            elif token[0] in "-0123456789" and self._hides_number(token):
                after = number
            else:
                continue
            pieces += (text[copied : match.start(1)], after)
            copied = match.end(1)
        return "".join([*pieces, text[copied:]])

    def _hides_number(self, token: str) -> bool:
        return self.text(token) != token or _value_of(token) in self._numbers


def _spellings(text: str) -> set[str]:
    """Return the forms in which a string can occur in a text: raw, in JSON, in a traceback."""
    return {
        text,
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        ascii(text)[1:-1],
    }


def _notations(token: str) -> set[str]:
    """Return the forms in which a number can occur in a text."""
    if token.lstrip("-").isdecimal():
        return {token}
    number = float(token)
    if not isfinite(number):
        return {token}
    whole = {str(int(number))} if number.is_integer() and abs(number) < 1e22 else set()
    return {token, repr(number)} | whole


def _value_of(token: str) -> Decimal | None:
    try:
        return Decimal(token)
    except InvalidOperation:  # its exponent is too large
        return None


def _spans(text: str, form: str) -> Iterable[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + len(form))


def _masked(text: str, spans: list[tuple[int, int]]) -> str:
    """Replace spans by the mark. Those that overlap or touch become one."""
    pieces: list[str] = []
    end = 0
    for first, last in sorted(spans):
        if first > end or not pieces:
            pieces += (text[end:first], MARK)
        end = max(end, last)
    return "".join([*pieces, text[end:]])
