"""What a codec does to the documents of requests and answers.

This is the only place between the calls and the network, so no document passes it by. A document
that was encoded is called sealed here; opening is the reverse.
"""

import json
import logging
import os
from copy import copy
from typing import Any, Literal, Protocol, TypeVar

from pydantic_core import from_json, to_json

from corvo_client._answer import Answer
from corvo_client._call import Call
from corvo_client._codec import invalid
from corvo_client._documents import AboutDocument, Codec, DocumentKind
from corvo_client._errors import AlreadyEncoded, CannotDecode
from corvo_client._shapes import (
    CHECKPOINT,
    ById,
    Document,
    ListOf,
    Object,
    Payload,
    Shape,
    Text,
    answer_shape,
    message_shape,
    request_shape,
)
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
        found = request_shape(call)
        if found is None or call.body is None:
            return call
        shape, job_id = found
        change = _Seal(self.codec, may_be_sealed=call.may_be_sealed)
        sealed = copy(call)
        sealed.body = _rewritten(call.body.decode(), shape, job_id, change).encode()
        return sealed

    def unsealed(self, call: Call[R]) -> Call[R]:
        """Return a call that `may_be_sealed` with plain documents, for tests without a server."""
        found = request_shape(call)
        if found is None or call.body is None or not call.may_be_sealed:
            return call
        plain = copy(call)
        plain.body = _rewritten(call.body.decode(), *found, _Open(self.codec)).encode()
        return plain

    def opened(self, call: Call[Any], answer: Answer) -> Answer:
        """Return the answer to a call with opened documents."""
        if answer.status == _TOO_LARGE:
            return answer._replace(body=_with_reason(answer.body))
        shape = answer_shape(call)
        if shape is None or not 200 <= answer.status < 300:
            return answer
        return answer._replace(body=self._opened(answer.body, shape))

    def opened_message(self, path: str, data: bytes) -> bytes:
        """Return a message of the stream `path` with opened documents."""
        shape = message_shape(path)
        return data if shape is None else self._opened(data, shape)

    def open_job(self, job: Fetched) -> None:
        """Replace the payload and the checkpoint of a fetched job. Raises `CannotDecode`."""
        job.payload = _value_of(job.payload, Payload(), None, self.codec)
        job.checkpoint = _value_of(job.checkpoint, CHECKPOINT, job.job_id, self.codec)

    def _opened(self, body: bytes, shape: Shape) -> bytes:
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

    def __call__(self, value: str, shape: Text | Payload | Document, job_id: str | None) -> str:
        """Return the JSON text of a sealed document."""
        match shape:
            case Text(kind, longest):
                text = json.loads(value)
                if longest is not None:
                    text = _shortened(text, longest)
                sealed = self._codec.encode(_dumped(text), AboutDocument(kind, job_id))
                return json.dumps(sealed.decode())
            case Payload(kind):
                about = AboutDocument(kind, repeat_id=job_id)
            case Document(kind):
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

    def __call__(self, value: str, shape: Text | Payload | Document, job_id: str | None) -> str:
        """Return the JSON text of an opened document."""
        try:
            match shape:
                case Text():
                    return self._text(value, shape, job_id)
                case Payload():
                    return self._payload(value, shape)
                case Document(kind):
                    return self._decoded(value, AboutDocument(kind, job_id))
        except CannotDecode as error:
            if not self._keeps_unreadable:
                raise
            self.failures.append(str(error) if job_id is None else f"job {job_id}: {error}")
            return value

    def _payload(self, value: str, shape: Payload) -> str:
        if value.startswith("{"):
            found = dict(members(value))
            if found.keys() == _CALLBACK_MEMBERS:
                start, end = found["payload"]
                about = AboutDocument(DocumentKind.CALLBACK_PAYLOAD)
                return value[:start] + self._decoded(value[start:end], about) + value[end:]
        return self._decoded(value, AboutDocument(shape.kind))

    def _text(self, value: str, shape: Text, job_id: str | None) -> str:
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


def _rewritten(text: str, shape: Shape, job_id: str | None, change: _Seal | _Open) -> str:
    """Return the JSON `text` with changed documents. All other bytes stay."""
    pieces: list[str] = []
    at = 0

    def put(start: int, end: int, new: str) -> None:
        nonlocal at
        pieces.append(text[at:start])
        pieces.append(new)
        at = end

    def visit(span: Span, shape: Shape, job_id: str | None) -> None:
        match shape:
            case Object():
                visit_object(span, shape, job_id)
            case ListOf(of):
                for item in items(text, span.start):
                    visit(item, of, job_id)
            case ById(of):
                for name, value in members(text, span.start):
                    visit(value, of, name)
            case _:
                document = text[span.start : span.end]
                if document != "null" or isinstance(shape, Payload):
                    put(span.start, span.end, change(document, shape, job_id))

    def visit_object(span: Span, shape: Object, job_id: str | None) -> None:
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
            if isinstance(part, Payload):
                end = text.rindex("}", 0, span.end)
                comma = "," if found else ""
                put(end, end, f'{comma}"{shape.added}":{change("{}", part, job_id)}')

    visit(Span(0, len(text)), shape, job_id)
    return "".join([*pieces, text[at:]])


def _value_of(value: Any, shape: Payload | Document, job_id: str | None, codec: Codec) -> Any:
    """Return an opened document as Python data; `value` itself if it is not sealed."""
    if value is None and isinstance(shape, Document):
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
