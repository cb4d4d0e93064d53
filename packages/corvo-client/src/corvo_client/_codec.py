"""Between Python and the bytes of a body."""

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

_FREE_FIELDS = {"payload", "result", "checkpoint", "callback_payload"}
_SNIPPET = 200


class RawJson:
    """JSON text as a payload, sent just as it is: notation of numbers, order of members and all.

    Raises ValueError for text that is not JSON: NaN, infinity and lone surrogates are none. It may
    have at most `corvo_schema.MAX_NESTING` levels of arrays and objects.
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
    """Check what a caller gave against a request's model. Raises `ValidationFailed`.

    What the model does not know is a mistake too: nobody would see that it is ignored.
    """
    try:
        return model.model_validate(members, extra="forbid")
    except ValidationError as error:
        raise make_error(
            "the request is not valid",
            code=ErrorCode.VALIDATION_ERROR,
            status=400,
            details=details_of(error),
        ) from None


def encode(request: RequestModel, **more: str) -> bytes:
    """Write a request with what was given, and nothing for what was not. `more` is added in front.

    A null is written for a payload only, where it is a value; elsewhere it means "not given".
    Raises `ValidationFailed` for a payload, result or checkpoint that JSON cannot express.
    """
    members: dict[str, Any] = request.model_dump(
        mode="json", exclude_unset=True, exclude_none=True, exclude=_FREE_FIELDS
    )
    if more:
        members = {**more, **members}
    raw = b""
    for name in request.model_fields_set & _FREE_FIELDS:
        value = getattr(request, name)
        if isinstance(value, RawJson):
            raw += b',"%b":%b' % (name.encode(), value.body)
        elif value is not None or name == "payload":
            members[name] = value
    is_callback = "callback_payload" in request.model_fields_set
    body = encode_json(members, limit=MAX_CALLBACK_NESTING if is_callback else MAX_NESTING)
    return body if not raw else b"%b%b}" % (body[:-1], raw if members else raw[1:])


def encode_json(value: Any, *, levels: int = 1, limit: int = MAX_NESTING) -> bytes:
    """Write JSON: what `json` can, and pydantic models, dataclasses, datetimes, UUIDs and so on.

    Raises `ValidationFailed` for anything else (NaN and infinity are no JSON), and for a payload,
    result or checkpoint of more than `limit` levels. These have `levels` levels around them.
    """
    try:
        body = to_json(value)
        if b"NaN" in body or b"Infinity" in body:
            # Five times slower, but it tells a number from a text that has these letters in it.
            json.dumps(to_jsonable_python(value), allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise invalid(f"this cannot be written as JSON: {error}") from error
    if is_too_deep(body, limit + levels):
        raise _deep(value, limit)
    return body


def _deep(value: Any, limit: int) -> ApiError:
    """Make the error of a request with a document that is nested too deeply."""
    items = value if isinstance(value, list) else [value]
    fields = [
        f"jobs[{index}].{name}" if items is value else name
        for index, item in enumerate(items)
        for name in sorted(_FREE_FIELDS & item.keys())
        if is_too_deep(to_json(item[name]), limit)
    ]
    return make_error(
        "the request is not valid",
        code=ErrorCode.VALIDATION_ERROR,
        status=400,
        details=[ErrorDetail(field=field, message=too_deep(limit)) for field in fields[:20]],
    )


def segment(text: str) -> str:
    """Write an id or a name as one segment of a path. Raises `ValidationFailed` for none."""
    if not text:
        raise invalid("an id or a name must not be empty")
    # Whoever is on the way resolves a segment of dots as if it were a directory's.
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")


def invalid(message: str) -> ValidationFailed:
    """Make the error of a request that need not be sent to be known as wrong."""
    return ValidationFailed(message, code=ErrorCode.VALIDATION_ERROR, status=400)


def reader(kind: type[R]) -> Callable[[bytes], R]:
    """Return the function that reads a reply's body as a model, or as a list of one.

    It raises `BadReply` for a body that is neither.
    """

    @cache
    def made() -> TypeAdapter[R]:
        return TypeAdapter(kind)

    def read(body: bytes) -> R:
        adapter = made()
        try:
            return adapter.validate_json(body)
        except ValidationError as error:
            if error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
                raise _bad_reply(body, error) from error
        # Python's own parser is slower, and takes what is legal but odd: lone surrogates, deep
        # nesting. One such payload must not make the whole answer unreadable.
        try:
            return adapter.validate_python(json.loads(body))
        except (ValueError, RecursionError) as error:
            raise _bad_reply(body, error) from error

    return read


def read_nothing(body: bytes) -> None:
    """Read a reply that says no more than that all went well."""


def read_answer(call: Call[R], status: int, headers: Mapping[str, str], body: bytes) -> R:
    """Read the answer to a call. Raises `ApiError` for a refusal, `BadReply` for nonsense."""
    if 200 <= status < 300:
        return call.read(body)
    if status < 400:
        target = headers.get("location", "elsewhere")
        raise BadReply(f"HTTP {status}: redirected to {target}; set the server's URL to that")
    raise _read_error(status, headers, body)


def _read_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Make the error of an answer with a status of 400 or more, whoever wrote it."""
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
    text = body[:_SNIPPET].decode(errors="replace").strip()
    return f" It begins: {text!r}" if text else ""
