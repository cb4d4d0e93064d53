"""Encode request bodies and decode answers."""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json, to_jsonable_python

from corvo_client._call import Call
from corvo_client._errors import ApiError, BadReply, ValidationFailed, make_error
from corvo_schema import ErrorCode, ErrorDetail, ErrorReply, RequestModel, details_of
from corvo_schema.nesting import MAX_CALLBACK_NESTING, MAX_NESTING, is_too_deep, too_deep

M = TypeVar("M", bound=RequestModel)
R = TypeVar("R")

_ANY_JSON_FIELDS = {"payload", "result", "checkpoint", "callback_payload"}
_SNIPPET_BYTES = 200


class RawJson:
    """JSON text as a payload. It is sent unchanged, e.g. with its notation of numbers.

    Raises ValueError for text that is not JSON, such as NaN, infinity and lone surrogates, and for
    more than `corvo_schema.MAX_NESTING` levels of arrays and objects.
    """

    __slots__ = ("body",)

    def __init__(self, text: str) -> None:
        self.body = text.encode()
        try:
            json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError(f"it {too_deep()}") from None
        if is_too_deep(self.body):
            raise ValueError(f"it {too_deep()}")

    def __repr__(self) -> str:
        return f"RawJson({self.body.decode()!r})"


def build(model: type[M], members: dict[str, Any]) -> M:
    """Return a validated request. Raises `ValidationFailed`.

    An unknown member is an error as well, because the server would silently ignore it.
    """
    try:
        return model.model_validate(members, extra="forbid")
    except ValidationError as error:
        raise make_error(
            "the request is not valid",
            code=ErrorCode.VALIDATION_ERROR,
            status=400,
            details=_details(model, error),
        ) from None


def _details(model: type[RequestModel], error: ValidationError) -> list[ErrorDetail]:
    """Return the invalid members; for an unknown one, the nearest name."""
    details = details_of(error)
    found = error.errors(include_url=False, include_input=False)
    for number, (detail, item) in enumerate(zip(details, found, strict=False)):
        if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
            near = difflib.get_close_matches(str(item["loc"][0]), model.model_fields, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            details[number] = ErrorDetail(field=detail.field, message=f"unknown name{hint}")
    return details


def encode(request: RequestModel, **more: str) -> bytes:
    """Return the JSON of a request. Only fields that were set are written. `more` comes first.

    None is written only for a payload, where null is a value. Raises `ValidationFailed` for a
    payload, result or checkpoint that JSON cannot express.
    """
    members: dict[str, Any] = request.model_dump(
        mode="json", exclude_unset=True, exclude_none=True, exclude=_ANY_JSON_FIELDS
    )
    if more:
        members = {**more, **members}
    raw = b""
    for name in request.model_fields_set & _ANY_JSON_FIELDS:
        value = getattr(request, name)
        if isinstance(value, RawJson):
            raw += b',"%b":%b' % (name.encode(), value.body)
        elif value is not None or name == "payload":
            members[name] = value
    is_callback = "callback_payload" in request.model_fields_set
    body = encode_json(members, limit=MAX_CALLBACK_NESTING if is_callback else MAX_NESTING)
    return body if not raw else b"%b%b}" % (body[:-1], raw if members else raw[1:])


def encode_json(value: Any, *, levels: int = 1, limit: int = MAX_NESTING) -> bytes:
    """Return a value as JSON. Supports pydantic models, dataclasses, datetimes, UUIDs and so on.

    Raises `ValidationFailed` for other types, NaN and infinity, and for a payload, result or
    checkpoint of more than `limit` levels. These have `levels` levels around them.
    """
    try:
        body = to_json(value)
        if b"NaN" in body or b"Infinity" in body:
            # This is five times slower, but it distinguishes the number NaN from the text "NaN".
            json.dumps(to_jsonable_python(value), allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise invalid(f"the value cannot be written as JSON: {error}") from error
    if is_too_deep(body, limit + levels):
        raise _deep(value, limit)
    return body


def _deep(value: Any, limit: int) -> ApiError:
    """Make the error of a request with a document that is nested too deeply."""
    items = value if isinstance(value, list) else [value]
    fields = [
        f"jobs[{index}].{name}" if items is value else name
        for index, item in enumerate(items)
        for name in sorted(_ANY_JSON_FIELDS & item.keys())
        if is_too_deep(to_json(item[name]), limit)
    ]
    return make_error(
        "the request is not valid",
        code=ErrorCode.VALIDATION_ERROR,
        status=400,
        details=[ErrorDetail(field=field, message=too_deep(limit)) for field in fields[:20]],
    )


def segment(text: str) -> str:
    """Return an id or a name as one segment of a path. Raises `ValidationFailed` if empty."""
    if not text:
        raise invalid("an id or a name must not be empty")
    # Proxies and servers resolve the segments "." and ".." like directories.
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")


def invalid(message: str) -> ValidationFailed:
    """Return the error of a request that the client rejects before sending."""
    return ValidationFailed(message, code=ErrorCode.VALIDATION_ERROR, status=400)


def reader(kind: type[R]) -> Callable[[bytes], R]:
    """Return a function that decodes the body of a reply as `kind`: a model or a list of models.

    The function raises `BadReply` for any other body.
    """

    @cache
    def adapter_once() -> TypeAdapter[R]:
        return TypeAdapter(kind)

    def read(body: bytes) -> R:
        adapter = adapter_once()
        try:
            return adapter.validate_json(body)
        except ValidationError as error:
            if error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
                raise _bad_reply(body, error) from error
        # The parser of `json` is slower, but it accepts lone surrogates and deep nesting. One such
        # payload must not make the whole answer unreadable.
        try:
            return adapter.validate_python(json.loads(body))
        except (ValueError, RecursionError) as error:
            raise _bad_reply(body, error) from error

    return read


def read_nothing(body: bytes) -> None:
    """Ignore the body of a reply without content."""


def read_answer(call: Call[R], status: int, headers: Mapping[str, str], body: bytes) -> R:
    """Decode the answer to a call. Raises `ApiError` for an error status, and `BadReply`."""
    if 200 <= status < 300:
        return call.read(body)
    if status < 400:
        target = headers.get("location", "elsewhere")
        raise BadReply(f"HTTP {status}: redirected to {target}; set the server's URL to that")
    raise _read_error(status, headers, body)


def _read_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Return the error of an answer with a status of 400 or more, of a server or a proxy."""
    retry_after = headers.get("retry-after", "")
    delay = float(retry_after) if re.fullmatch("[0-9]{1,6}", retry_after) else None
    request_id = headers.get("x-request-id")
    try:
        reply = ErrorReply.model_validate_json(body)
    except ValidationError:
        text = _snippet(body)
        return make_error(
            f"HTTP {status}, but not from a Corvo server; is there a proxy in between?{text}",
            code="",
            status=status,
            request_id=request_id,
            retry_after=delay,
        )
    return make_error(
        reply.error,
        code=reply.code,
        status=status,
        details=reply.details or (),
        request_id=reply.request_id or request_id,
        retry_after=delay,
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _bad_reply(body: bytes, error: Exception) -> BadReply:
    reason = details_of(error, limit=3) if isinstance(error, ValidationError) else error
    text = _snippet(body)
    return BadReply(f"the answer is not what a Corvo server of this version sends: {reason}{text}")


def _snippet(body: bytes) -> str:
    text = body[:_SNIPPET_BYTES].decode(errors="replace").strip()
    return f" It begins: {text!r}" if text else ""
