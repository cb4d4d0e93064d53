"""What handlers read from a request: its body, its query string, and the engine that serves it."""

import re
from collections.abc import Callable
from enum import StrEnum
from json import loads
from typing import Any, TypeVar, cast

import orjson
from msgspec import DecodeError, Raw, Struct, json
from pydantic import ValidationError
from sanic import Request
from sanic.exceptions import BadRequest

from corvo_schema._base import RequestModel
from corvo_schema.errors import ErrorCode
from corvo_schema.nesting import MAX_NESTING
from corvo_server.engine.engine import Engine
from corvo_server.engine.errors import CallError
from corvo_server.http.errors import invalid
from corvo_server.http.http1 import StrictHttp, StrictProtocol

M = TypeVar("M", bound=RequestModel)
S = TypeVar("S", bound=Struct)
E = TypeVar("E", bound=StrEnum)

_MEDIA_TYPE = "application/json"
_STRICTNESS = {"true": True, "false": False, "1": True, "0": False}
_DIGITS = re.compile("[0-9]{1,9}")
_TOO_DEEP = f"the body is nested too deeply; a document has at most {MAX_NESTING} levels"
_JSON_TYPES = {
    list: "array",
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


class AnyRequest(Request):
    """A request that treats a malformed URL as the path `*`, so that it is answered with 404.

    Sanic itself closes the connection: to answer 400, it creates the same request and fails again.
    """

    def __init__(self, url_bytes: bytes, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(url_bytes, *args, **kwargs)
        except BadRequest:
            super().__init__(b"*", *args, **kwargs)

    async def receive_body(self) -> None:
        """Read the body. Raise `CallError` before that if the request is not admitted."""
        self.app.ctx.gate.admit(self)
        await super().receive_body()  # type: ignore[no-untyped-call]


def shift_of(request: Request) -> int:
    """Return the offset of the wall clock, which the API shows, from the server's time in ms."""
    return engine_of(request).wall.offset


def engine_of(request: Request) -> Engine:
    """Return the engine that serves the request."""
    return cast("Engine", request.app.ctx.engine)


def connection_of(request: Request) -> StrictProtocol:
    """Return the connection of the request."""
    return cast("StrictHttp", request.stream).protocol


# The body


def parse(body: bytes) -> object:
    """Parse JSON as in RFC 8259. Raise `CallError` if it is invalid."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _parse_error(_TOO_DEEP if "depth limit" in error.msg else str(error)) from None


def parse_report(body: bytes) -> object:
    """Parse JSON like `parse`, but accept lone surrogates, which the model replaces.

    No error report is refused for its characters: a worker must always be able to fail its job.
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
    """Return the request's body as `model`; no body means `{}`. Raise `CallError` if invalid.

    Unknown fields are ignored, or refused with `?strict=true`.
    """
    body = request.body
    if not body:
        check_declared_type(request)
        data: object = {}
    else:
        _check_media_type(request)
        data = parse(body)
    if not isinstance(data, dict):
        raise CallError(
            ErrorCode.VALIDATION_ERROR,
            f"The body is a JSON {_JSON_TYPES[type(data)]}; it must be a JSON object.",
            [("body", "must be a JSON object")],
        )
    try:
        return model.model_validate(data, extra="forbid" if _is_strict(request) else None)
    except ValidationError as error:
        raise invalid(error) from None


def read_plain(request: Request, shape: type[S]) -> S | None:
    """Return the request's body as `shape`; None if it is not valid JSON of exactly that shape."""
    try:
        plain = json.decode(request.body, type=shape)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
    _check_media_type(request)
    parse(request.body)  # validates the JSON of the documents, which msgspec skips
    _is_strict(request)  # validates the parameter
    return plain


def read_documents(request: Request, shape: type[S]) -> S:
    """Return the documents of a body, byte for byte. Call it after `read_body`, which validates."""
    try:
        return json.decode(request.body or b"{}", type=shape)
    except RecursionError:
        raise _parse_error(_TOO_DEEP) from None
    except DecodeError as error:  # of members with the same name, `read_body` sees only the last
        raise _parse_error(f"an object has two members with the same name ({error})") from None


def document(raw: Raw) -> bytes | None:
    """Return a document's bytes; None if the field is absent."""
    text = bytes(raw)
    return text or None


def optional_document(raw: Raw) -> str | None:
    """Return a document as text; None if the field is absent or null."""
    text = bytes(raw)
    return None if text in {b"", b"null"} else text.decode()


def check_declared_type(request: Request) -> None:
    """Raise `CallError` if a request declares another type than JSON, even without a body.

    Web pages of any site can send such types in forms.
    """
    if request.headers.getone("content-type", ""):
        _check_media_type(request)


def _check_media_type(request: Request) -> None:
    declared = request.headers.getone("content-type", "")
    if declared != _MEDIA_TYPE and declared.partition(";")[0].strip().lower() != _MEDIA_TYPE:
        raise CallError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"The request has {f'Content-Type {declared!r}' if declared else 'no Content-Type'}; "
            f"send the body with the header Content-Type: {_MEDIA_TYPE}.",
        )


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _parse_error(reason: str) -> CallError:
    message = f"The body is not valid JSON: {reason}."
    return CallError(ErrorCode.PARSE_ERROR, message, [("body", reason)])


def _is_strict(request: Request) -> bool:
    text = text_of(request, "strict")
    if text is None:
        return False
    if text not in _STRICTNESS:
        expected = f"must be one of {', '.join(_STRICTNESS)}"
        raise CallError(ErrorCode.VALIDATION_ERROR, f"strict: {expected}", [("strict", expected)])
    return _STRICTNESS[text]


# The query string


def text_of(request: Request, name: str) -> str | None:
    """Return a query parameter, which may be empty; None if it is absent."""
    if not request.query_string:
        return None
    text: str | None = request.get_args(keep_blank_values=True).get(name)
    return text


def number_of(request: Request, name: str, low: int, high: int, *, default: int) -> int:
    """Return a whole number from `low` to `high`, or `default`. Raise `CallError` if invalid."""
    text = text_of(request, name)
    if text is None:
        return default
    if _DIGITS.fullmatch(text) is None or not low <= int(text) <= high:
        raise refusal(name, f"must be a whole number from {low} to {high}")
    return int(text)


def choice_of(request: Request, name: str, choices: type[E]) -> E | None:
    """Return a member of `choices`; None if it is absent. Raise `CallError` if invalid."""
    text = text_of(request, name)
    if text is None:
        return None
    try:
        return choices(text)
    except ValueError:
        raise refusal(name, f"must be one of {', '.join(choices)}") from None


def refusal(name: str, expected: str) -> CallError:
    """Return the error for a parameter that is not what was expected."""
    return CallError(ErrorCode.VALIDATION_ERROR, f"{name}: {expected}", [(name, expected)])
