"""What a request says behind the question mark."""

import re
from enum import StrEnum
from typing import TypeVar

from sanic import Request

from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError

E = TypeVar("E", bound=StrEnum)

_DIGITS = re.compile("[0-9]{1,9}")


def text_of(request: Request, name: str) -> str | None:
    """What is given, which may be empty; None when nothing is."""
    if not request.query_string:
        return None
    text: str | None = request.get_args(keep_blank_values=True).get(name)
    return text


def number_of(request: Request, name: str, low: int, high: int, *, default: int) -> int:
    """A whole number within bounds. Raises `CallError`."""
    text = text_of(request, name)
    if text is None:
        return default
    if _DIGITS.fullmatch(text) is None or not low <= int(text) <= high:
        raise _refusal(name, f"must be a number from {low} to {high}")
    return int(text)


def choice_of(request: Request, name: str, choices: type[E]) -> E | None:
    """One of the choices; None when nothing is said. Raises `CallError`."""
    text = text_of(request, name)
    if text is None:
        return None
    try:
        return choices(text)
    except ValueError:
        raise _refusal(name, f"must be one of {', '.join(choices)}") from None


def _refusal(name: str, expected: str) -> CallError:
    return CallError(ErrorCode.VALIDATION_ERROR, f"{name}: {expected}", [(name, expected)])
