"""From a request's bytes to a validated model, and to the documents in it as they were sent."""

import re
from collections.abc import Callable
from enum import StrEnum
from json import loads
from typing import TypeVar

import orjson
from msgspec import DecodeError, Raw, Struct, json
from pydantic import ValidationError
from sanic import Request

from corvo_schema._base import RequestModel
from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError
from corvo_server.http.errors import invalid

M = TypeVar("M", bound=RequestModel)
S = TypeVar("S", bound=Struct)
E = TypeVar("E", bound=StrEnum)

_MEDIA_TYPE = "application/json"
_STRICTNESS = {"true": True, "false": False, "1": True, "0": False}
_DIGITS = re.compile("[0-9]{1,9}")
_TOO_DEEP = "the body is nested too deeply; the limit is about 1000 levels"


def parse(body: bytes) -> object:
    """JSON as RFC 8259 has it."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _parse_error(_TOO_DEEP if "depth limit" in error.msg else str(error)) from None


def parse_report(body: bytes) -> object:
    """The same, but a surrogate that stands alone is let through, for the model to replace.

    What went wrong may be told in any characters: a worker must always be able to fail its job.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "surrogate" not in error.msg:
            return parse(body)
    try:
        return loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return parse(body)


def read_body(request: Request, model: type[M], parse: Callable[[bytes], object] = parse) -> M:
    """The request's body as `model`; an absent body counts as `{}`.

    With `?strict=true`, fields that the model does not know are refused, else ignored.
    """
    body = request.body
    if not body:
        data: object = {}
    else:
        _check_media_type(request)
        data = parse(body)
    if not isinstance(data, dict):
        raise CallError(
            ErrorCode.VALIDATION_ERROR,
            "The body must be a JSON object.",
            [("body", "must be a JSON object")],
        )
    try:
        return model.model_validate(data, extra="forbid" if _is_strict(request) else None)
    except ValidationError as error:
        raise invalid(error) from None


def read_plain(request: Request, shape: type[S]) -> S | None:
    """The request's body as `shape`, if it is JSON of just that shape; None where it is not."""
    try:
        plain = json.decode(request.body, type=shape)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
    _check_media_type(request)
    parse(request.body)  # refuses what is no JSON in the parts that are kept as they are
    _is_strict(request)
    return plain


def read_documents(request: Request, shape: type[S]) -> S:
    """The parts of a body that are kept byte for byte. Call after `read_body`, which validates."""
    try:
        return json.decode(request.body or b"{}", type=shape)
    except RecursionError:
        raise _parse_error(_TOO_DEEP) from None
    except DecodeError as error:  # of two members of one name, only the last one was validated
        raise _parse_error(f"a member stands twice in it ({error})") from None


def document(raw: Raw) -> bytes | None:
    """A document's bytes; None when the field was absent."""
    text = bytes(raw)
    return text or None


def optional_document(raw: Raw) -> str | None:
    """A document as text; None when the field was absent or null."""
    text = bytes(raw)
    return None if text in {b"", b"null"} else text.decode()


def _check_media_type(request: Request) -> None:
    declared = request.headers.getone("content-type", "")
    if declared != _MEDIA_TYPE and declared.partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise CallError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"The body is declared as {declared or 'nothing'}; send it with the header "
            f"Content-Type: {_MEDIA_TYPE}.",
        )


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _parse_error(reason: str) -> CallError:
    message = f"The body is not valid JSON: {reason}."
    return CallError(ErrorCode.PARSE_ERROR, message, [("body", reason)])


def _is_strict(request: Request) -> bool:
    given = text_of(request, "strict")
    if given is None:
        return False
    if given not in _STRICTNESS:
        expected = f"must be one of {', '.join(_STRICTNESS)}"
        raise CallError(ErrorCode.VALIDATION_ERROR, f"strict: {expected}", [("strict", expected)])
    return _STRICTNESS[given]


# The query string


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
