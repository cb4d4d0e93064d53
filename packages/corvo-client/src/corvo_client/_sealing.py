"""Where the documents of jobs are in requests and answers, and what a codec does to them there.

This is the only place between the calls and the network, so no document passes it by. A document
that was encoded is called sealed here; opening is the reverse.
"""

import json
import logging
import os
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import unquote

from pydantic_core import from_json, to_json

from corvo_client._answer import Answer
from corvo_client._call import API, Call
from corvo_client._codec import invalid
from corvo_client._documents import AboutDocument, Codec, DocumentKind
from corvo_client._errors import AlreadyEncoded, CannotDecode
from corvo_client._spans import Span, is_object, items, members
from corvo_schema import BatchCallback
from corvo_schema.rules import EXPIRED

R = TypeVar("R")

_log = logging.getLogger("corvo.client")

_CALLBACK_MEMBERS = frozenset(BatchCallback.model_fields)
_EXPIRED = f"{EXPIRED}: "
_CUT_AT = 1000
"""Length at which the event log cuts an error, in characters."""
_CUT = "an encrypted error that the event log has cut; the job has the whole error"
_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class _Text:
    """A text. `longest` bytes of UTF-8 are sealed, so that the server cuts nothing."""

    kind: DocumentKind
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class _Payload:
    """A payload, or that of a callback job, whose member `payload` is sealed."""

    kind: DocumentKind = DocumentKind.PAYLOAD


@dataclass(frozen=True, slots=True)
class _Document:
    """A result or a checkpoint; null stands for none."""

    kind: DocumentKind


@dataclass(frozen=True, slots=True)
class _List:
    of: "_Shape"


@dataclass(frozen=True, slots=True)
class _ById:
    """An object whose members have job ids as names."""

    of: "_Shape"


@dataclass(frozen=True, slots=True)
class _Object:
    """An object. The member `id_from` is a job id. `added` is sealed, as {}, if it is missing."""

    parts: "Mapping[str, _Shape]"
    id_from: str | None = None
    added: str | None = None


_Shape = _Text | _Payload | _Document | _List | _ById | _Object

# Three quarters of what the server stores, which base64 makes up.
_ERROR = _Text(DocumentKind.ERROR, 12_000)
_BACKTRACE = _Text(DocumentKind.BACKTRACE, 48_000)
_PROGRESS = _Object({"message": _Text(DocumentKind.MESSAGE)})
_RESULT = _Document(DocumentKind.RESULT)
_CHECKPOINT = _Document(DocumentKind.CHECKPOINT)
_CALLBACK = _Object(
    {"callback_payload": _Payload(DocumentKind.CALLBACK_PAYLOAD)}, added="callback_payload"
)
_NEW_JOB = _Object({"payload": _Payload()}, id_from="job_id", added="payload")
_SCHEDULE = _Object({"payload": _Payload()}, added="payload")
_ACK = _Object({"result": _RESULT}, id_from="job_id")
_FAIL = _Object({"error": _ERROR, "backtrace": _BACKTRACE}, id_from="job_id")
_RELEASE = _Object({"checkpoint": _CHECKPOINT}, id_from="job_id")
_BEAT = _Object({"checkpoint": _CHECKPOINT, "progress": _PROGRESS})

_REQUESTS: dict[str, _Shape] = {
    "enqueue": _NEW_JOB,
    "enqueue/batch": _Object({"jobs": _List(_NEW_JOB), "batch": _CALLBACK}),
    "ack/": _ACK,
    "ack/batch": _Object({"acks": _List(_ACK)}),
    "fail/": _FAIL,
    "fail/batch": _Object({"fails": _List(_FAIL)}),
    "release/": _RELEASE,
    "release/batch": _Object({"releases": _List(_RELEASE)}),
    "heartbeat": _Object({"jobs": _ById(_BEAT)}),
    "schedules": _SCHEDULE,
    "schedules/": _SCHEDULE,
}
_EVENT = _Object(
    {"data": _Object({"error": _ERROR, "progress": _PROGRESS})},
    id_from="job_id",
)
_JOB = _Object(
    {
        "payload": _Payload(),
        "result": _RESULT,
        "checkpoint": _CHECKPOINT,
        "progress": _PROGRESS,
        "errors": _List(_Object({"error": _ERROR, "backtrace": _BACKTRACE})),
        "timeline": _List(_EVENT),
    },
    id_from="id",
)
_JOBS = _Object({"jobs": _List(_JOB)})
_STORED_SCHEDULE = _Object({"payload": _Payload()})
# Not fetches: a job that cannot be opened must fail alone; see `open_job`.
_ANSWERS: dict[str, _Shape] = {
    "GET jobs/": _JOB,
    "POST jobs/search": _JOBS,
    "POST jobs/bulk-get": _JOBS,
    "GET schedules": _List(_STORED_SCHEDULE),
    "POST schedules": _STORED_SCHEDULE,
    "GET schedules/": _STORED_SCHEDULE,
    "PUT schedules/": _STORED_SCHEDULE,
}


class Fetched(Protocol):
    """A job as a fetch returns it."""

    job_id: str
    payload: Any
    checkpoint: Any


class Sealing:
    """Seals the documents of requests and opens those of answers with the codec of a client.

    What cannot be opened in an answer stays as it is stored, and is logged: an operator must be
    able to see and delete such a job. Documents of fetched jobs are opened by `open_job`.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def sealed(self, call: Call[R]) -> Call[R]:
        """Return the call with sealed documents. Raises `ValidationFailed` for sealed ones.

        The documents of a call that `may_be_sealed` stay as they are if they are sealed.
        """
        found = _request_shape(call)
        if found is None or call.body is None:
            return call
        shape, job_id = found
        change = _Seal(self.codec, may_be_sealed=call.may_be_sealed)
        sealed = copy(call)
        sealed.body = _rewritten(call.body.decode(), shape, job_id, change).encode()
        return sealed

    def unsealed(self, call: Call[R]) -> Call[R]:
        """Return a call that `may_be_sealed` with plain documents, for tests without a server."""
        found = _request_shape(call)
        if found is None or call.body is None or not call.may_be_sealed:
            return call
        plain = copy(call)
        plain.body = _rewritten(call.body.decode(), *found, _Open(self.codec)).encode()
        return plain

    def opened(self, call: Call[Any], answer: Answer) -> Answer:
        """Return the answer to a call with opened documents."""
        if answer.status == _TOO_LARGE:
            return answer._replace(body=_with_reason(answer.body))
        shape = _ANSWERS.get(f"{call.verb} {_route(call.path)[0]}")
        if shape is None or not 200 <= answer.status < 300:
            return answer
        return answer._replace(body=self._opened(answer.body, shape))

    def opened_message(self, path: str, data: bytes) -> bytes:
        """Return a message of the stream `path` with opened documents."""
        return self._opened(data, _EVENT) if _route(path)[0] == "events" else data

    def open_job(self, job: Fetched) -> None:
        """Replace the payload and the checkpoint of a fetched job. Raises `CannotDecode`."""
        job.payload = _value_of(job.payload, _Payload(), None, self.codec)
        job.checkpoint = _value_of(job.checkpoint, _CHECKPOINT, job.job_id, self.codec)

    def _opened(self, body: bytes, shape: _Shape) -> bytes:
        opening = _Open(self.codec, keeps_unreadable=True)
        try:
            body = _rewritten(body.decode(), shape, None, opening).encode()
        except (ValueError, RecursionError):  # not JSON; the reader of the answer says so
            return body
        for reason in dict.fromkeys(opening.failures):
            _log.warning("%s", reason)
        return body


def sealing_of(codec: "Codec | Literal[False] | None") -> Sealing | None:
    """Return the sealing of a codec; None means that of the environment, False none."""
    if codec is False:
        return None
    if codec is None:
        if not any(map(os.environ.get, ("CORVO_CODEC_KEYS", "CORVO_CODEC_KEYS_FILE"))):
            return None
        from corvo_client.encryption import codec_from  # noqa: PLC0415 - an extra

        codec = codec_from(os.environ)
    return None if codec is None else Sealing(codec)


class _Seal:
    """Seals single documents."""

    adds_missing = True

    def __init__(self, codec: Codec, *, may_be_sealed: bool) -> None:
        self._codec = codec
        self._may_be_sealed = may_be_sealed

    def __call__(self, value: str, shape: _Text | _Payload | _Document, job_id: str | None) -> str:
        """Return the JSON text of a sealed document."""
        match shape:
            case _Text(kind, longest):
                text = json.loads(value)
                if longest is not None:
                    text = _shortened(text, longest)
                sealed = self._codec.encode(_dumped(text), AboutDocument(kind, job_id))
                return json.dumps(sealed.decode())
            case _Payload(kind):
                about = AboutDocument(kind, repeat_id=job_id)
            case _Document(kind):
                about = AboutDocument(kind, job_id)
        try:
            return self._codec.encode(value.encode(), about).decode()
        except AlreadyEncoded as error:
            if self._may_be_sealed:
                return value
            raise invalid(f"{error}; send the plain document") from None


class _Open:
    """Opens single documents."""

    adds_missing = False

    def __init__(self, codec: Codec, *, keeps_unreadable: bool = False) -> None:
        self._codec = codec
        self._keeps_unreadable = keeps_unreadable
        self.failures: list[str] = []

    def __call__(self, value: str, shape: _Text | _Payload | _Document, job_id: str | None) -> str:
        """Return the JSON text of an opened document."""
        try:
            match shape:
                case _Text():
                    return self._text(value, shape, job_id)
                case _Payload():
                    return self._payload(value, shape)
                case _Document(kind):
                    return self._decoded(value, AboutDocument(kind, job_id))
        except CannotDecode as error:
            if not self._keeps_unreadable:
                raise
            self.failures.append(str(error) if job_id is None else f"job {job_id}: {error}")
            return value

    def _payload(self, value: str, shape: _Payload) -> str:
        if value.startswith("{"):
            found = dict(members(value))
            if found.keys() == _CALLBACK_MEMBERS:
                start, end = found["payload"]
                about = AboutDocument(DocumentKind.CALLBACK_PAYLOAD)
                return value[:start] + self._decoded(value[start:end], about) + value[end:]
        return self._decoded(value, AboutDocument(shape.kind))

    def _text(self, value: str, shape: _Text, job_id: str | None) -> str:
        text = json.loads(value)
        head = _EXPIRED if text.startswith(_EXPIRED) else ""
        sealed = text[len(head) :]
        if not sealed.startswith("{"):
            return value
        try:
            plain = json.loads(self._decoded(sealed, AboutDocument(shape.kind, job_id)))
        except CannotDecode:
            if len(text) == _CUT_AT and not sealed.endswith("}"):
                return json.dumps(_CUT)
            raise
        except ValueError:  # a plain error that begins with a brace
            return value
        return _dumped(head + plain).decode() if isinstance(plain, str) else value

    def _decoded(self, value: str, about: AboutDocument) -> str:
        return self._codec.decode(value.encode(), about).decode()


def _rewritten(text: str, shape: _Shape, job_id: str | None, change: _Seal | _Open) -> str:
    """Return the JSON `text` with changed documents. All other bytes stay."""
    pieces: list[str] = []
    at = 0

    def put(start: int, end: int, new: str) -> None:
        nonlocal at
        pieces.append(text[at:start])
        pieces.append(new)
        at = end

    def visit(span: Span, shape: _Shape, job_id: str | None) -> None:
        match shape:
            case _Object():
                visit_object(span, shape, job_id)
            case _List(of):
                for item in items(text, span.start):
                    visit(item, of, job_id)
            case _ById(of):
                for name, value in members(text, span.start):
                    visit(value, of, name)
            case _:
                document = text[span.start : span.end]
                if document != "null" or isinstance(shape, _Payload):
                    put(span.start, span.end, change(document, shape, job_id))

    def visit_object(span: Span, shape: _Object, job_id: str | None) -> None:
        if not is_object(text, span.start):
            return
        found = list(members(text, span.start))
        names = dict(found)
        if shape.id_from in names:
            start, end = names[shape.id_from]
            job_id = json.loads(text[start:end])
        for name, value in found:
            part = shape.parts.get(name)
            if part is not None:
                visit(value, part, job_id)
        if change.adds_missing and shape.added is not None and shape.added not in names:
            part = shape.parts[shape.added]
            if isinstance(part, _Payload):
                end = text.rindex("}", 0, span.end)
                comma = "," if found else ""
                put(end, end, f'{comma}"{shape.added}":{change("{}", part, job_id)}')

    visit(Span(0, len(text)), shape, job_id)
    return "".join([*pieces, text[at:]])


def _request_shape(call: Call[Any]) -> tuple[_Shape, str | None] | None:
    """Return the shape of a request with documents, and the job id in its path; else None."""
    if call.verb == "GET":
        return None
    route, rest = _route(call.path)
    shape = _REQUESTS.get(route)
    if shape is None or (route == "schedules/" and "/" in rest):
        return None
    return shape, None if route.startswith("schedules") else rest or None


def _route(path: str) -> tuple[str, str]:
    """Return a path without the API's, and without an id at its end, and that id."""
    route = path.removeprefix(f"{API}/").partition("?")[0]
    if route in _REQUESTS or f"POST {route}" in _ANSWERS:
        return route, ""
    head, slash, rest = route.partition("/")
    return head + slash, unquote(rest)


def _value_of(value: Any, shape: _Payload | _Document, job_id: str | None, codec: Codec) -> Any:
    """Return an opened document as Python data; `value` itself if it is not sealed."""
    if value is None and isinstance(shape, _Document):
        return None
    try:
        stored = to_json(value).decode()
    except ValueError:  # lone surrogates, which no codec writes
        stored = json.dumps(value)
    opened = _Open(codec)(stored, shape, job_id)
    if opened == stored:
        return value
    try:
        return from_json(opened)
    except ValueError:
        return json.loads(opened)


def _with_reason(body: bytes) -> bytes:
    """Return the answer to a too large request with the reason why it is larger than expected."""
    try:
        reply = json.loads(body)
        reply["error"] = (
            f"{str(reply['error']).rstrip('.')}; the documents are encoded, which makes them about "
            "a third larger than the plain ones"
        )
    except (ValueError, KeyError, TypeError):  # not the answer of a Corvo server
        return body
    return json.dumps(reply).encode()


def _shortened(text: str, longest: int) -> str:
    """Cut the middle out of a text of more than `longest` bytes, as the server does."""
    written = text.encode(errors="replace")
    if len(written) <= longest:
        return text
    half = longest // 2 - 100
    start, end = written[:half].decode(errors="ignore"), written[-half:].decode(errors="ignore")
    left_out = len(text) - len(start) - len(end)
    return f"{start}\n… {left_out} characters left out …\n{end}"


def _dumped(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode(errors="replace")
