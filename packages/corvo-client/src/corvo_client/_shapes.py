"""Where the documents of jobs are in the requests and answers of the protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from corvo_client._call import API, Call
from corvo_client._documents import DocumentKind


@dataclass(frozen=True, slots=True)
class Text:
    """A text. `longest` bytes of UTF-8 are sealed, so that the server cuts nothing."""

    kind: DocumentKind
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload, or that of a callback job, whose member `payload` is sealed."""

    kind: DocumentKind = DocumentKind.PAYLOAD


@dataclass(frozen=True, slots=True)
class Document:
    """A result or a checkpoint; null stands for none."""

    kind: DocumentKind


@dataclass(frozen=True, slots=True)
class ListOf:
    of: "Shape"


@dataclass(frozen=True, slots=True)
class ById:
    """An object whose members have job ids as names."""

    of: "Shape"


@dataclass(frozen=True, slots=True)
class Object:
    """An object. The member `id_from` is a job id. `added` is sealed, as {}, if it is missing."""

    parts: "Mapping[str, Shape]"
    id_from: str | None = None
    added: str | None = None


Shape = Text | Payload | Document | ListOf | ById | Object

# Three quarters of what the server stores, which base64 makes up.
_ERROR = Text(DocumentKind.ERROR, 12_000)
_BACKTRACE = Text(DocumentKind.BACKTRACE, 48_000)
_PROGRESS = Object({"message": Text(DocumentKind.MESSAGE)})
_RESULT = Document(DocumentKind.RESULT)
CHECKPOINT = Document(DocumentKind.CHECKPOINT)
_CALLBACK = Object(
    {"callback_payload": Payload(DocumentKind.CALLBACK_PAYLOAD)}, added="callback_payload"
)
_NEW_JOB = Object({"payload": Payload()}, id_from="job_id", added="payload")
_SCHEDULE = Object({"payload": Payload()}, added="payload")
_ACK = Object({"result": _RESULT}, id_from="job_id")
_FAIL = Object({"error": _ERROR, "backtrace": _BACKTRACE}, id_from="job_id")
_RELEASE = Object({"checkpoint": CHECKPOINT}, id_from="job_id")
_BEAT = Object({"checkpoint": CHECKPOINT, "progress": _PROGRESS})

_REQUESTS: dict[str, Shape] = {
    "enqueue": _NEW_JOB,
    "enqueue/batch": Object({"jobs": ListOf(_NEW_JOB), "batch": _CALLBACK}),
    "ack/": _ACK,
    "ack/batch": Object({"acks": ListOf(_ACK)}),
    "fail/": _FAIL,
    "fail/batch": Object({"fails": ListOf(_FAIL)}),
    "release/": _RELEASE,
    "release/batch": Object({"releases": ListOf(_RELEASE)}),
    "heartbeat": Object({"jobs": ById(_BEAT)}),
    "schedules": _SCHEDULE,
    "schedules/": _SCHEDULE,
}
_EVENT = Object(
    {"data": Object({"error": _ERROR, "progress": _PROGRESS})},
    id_from="job_id",
)
_JOB = Object(
    {
        "payload": Payload(),
        "result": _RESULT,
        "checkpoint": CHECKPOINT,
        "progress": _PROGRESS,
        "errors": ListOf(Object({"error": _ERROR, "backtrace": _BACKTRACE})),
        "timeline": ListOf(_EVENT),
    },
    id_from="id",
)
_JOBS = Object({"jobs": ListOf(_JOB)})
_STORED_SCHEDULE = Object({"payload": Payload()})
# Not fetches: a job that cannot be opened must fail alone; see `open_job`.
_ANSWERS: dict[str, Shape] = {
    "GET jobs/": _JOB,
    "POST jobs/search": _JOBS,
    "POST jobs/bulk-get": _JOBS,
    "GET schedules": ListOf(_STORED_SCHEDULE),
    "POST schedules": _STORED_SCHEDULE,
    "GET schedules/": _STORED_SCHEDULE,
    "PUT schedules/": _STORED_SCHEDULE,
}


def request_shape(call: Call[Any]) -> tuple[Shape, str | None] | None:
    """Return the shape of a request with documents, and the job id in its path; else None."""
    if call.verb == "GET":
        return None
    route, rest = _route(call.path)
    shape = _REQUESTS.get(route)
    if shape is None or (route == "schedules/" and "/" in rest):
        return None
    return shape, None if route.startswith("schedules") else unquote(rest) or None


def answer_shape(call: Call[Any]) -> Shape | None:
    """Return the shape of the answer to a call, or None if it has no documents."""
    return _ANSWERS.get(f"{call.verb} {_route(call.path)[0]}")


def message_shape(path: str) -> Shape | None:
    """Return the shape of the messages of a stream, or None if they have no documents."""
    return _EVENT if _route(path)[0] == "events" else None


def _route(path: str) -> tuple[str, str]:
    """Return a path without the API's, and without an id at its end, and that id, still quoted."""
    route = path.removeprefix(f"{API}/").partition("?")[0]
    if route in _REQUESTS or f"POST {route}" in _ANSWERS:
        return route, ""
    head, slash, rest = route.partition("/")
    return head + slash, rest
