"""Records every request of the clients and its answer for the history checker."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from support.api_client import ApiClient, Body


def now_ms() -> int:
    """Return the time of this machine in ms since the epoch. The servers use the same clock."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Call:
    """A request and its answer. Times are in ms since the epoch."""

    verb: str
    body: Body
    """The body of the request. A call on one job includes its `job_id`."""
    asked_at: int
    answered_at: int | None = None
    status: int | None = None
    """HTTP status; None if no answer came, or one that the effect of the call is unknown."""
    answer: Any = None

    @property
    def is_done(self) -> bool:
        """Whether the server acknowledged the call."""
        return self.status is not None and self.status < 300

    @property
    def is_open(self) -> bool:
        """Whether the effect of the call is unknown."""
        return self.status is None

    @property
    def may_have_effect(self) -> bool:
        """Whether the call took effect or may have taken effect."""
        return self.is_done or self.is_open


class History:
    """All calls, in the order of their requests. `on_answer` is called after each answer."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers = 0
        self.on_answer: Callable[[], None] | None = None

    def of(self, *verbs: str) -> Iterator[Call]:
        """Return the calls of these verbs."""
        return (call for call in self.calls if call.verb in verbs)

    def record_call(self, verb: str, body: Body) -> Call:
        """Record a call before its request is sent."""
        call = Call(verb, body, now_ms())
        self.calls.append(call)
        return call

    def record_answer(self) -> None:
        """Count an answer."""
        self.answers += 1
        if self.on_answer is not None:
            self.on_answer()


class Stopped(Exception):
    """Raised when a client gets no answer and must stop."""


class Recorder:
    """A client that records its calls and their answers."""

    def __init__(self, api: ApiClient, history: History) -> None:
        self._api = api
        self._history = history

    async def call(self, verb: str, body: Body) -> Call:
        """Make a call and return its record, also if no answer comes."""
        call = self._history.record_call(verb, body)
        try:
            response = await self._api.send("POST", *_request(call))
        except httpx.TransportError:
            return call
        answer = response.json() if response.content else None
        if _is_unknown(response, answer):
            return call
        call.answered_at = now_ms()
        call.status = response.status_code
        call.answer = answer
        self._history.record_answer()
        return call

    async def answered(self, verb: str, body: Body) -> Call:
        """Make a call. Raises `Stopped` if no answer comes."""
        call = await self.call(verb, body)
        if call.is_open:
            raise Stopped
        return call

    async def reported(self, verb: str, items: list[Body]) -> None:
        """Report the outcomes of jobs in one request. Raises `Stopped` if no answer comes."""
        if any(call.is_open for call in await self.outcomes(verb, items)):
            raise Stopped

    async def outcomes(self, verb: str, items: list[Body]) -> list[Call]:
        """Report the outcomes of jobs in one request. Record a call for each job."""
        calls = [self._history.record_call(verb, item) for item in items]
        try:
            body = {f"{verb}s": items}
            response = await self._api.send("POST", f"/{verb}/batch", body)
        except httpx.TransportError:
            return calls
        answer = response.json() if response.content else {}
        if _is_unknown(response, answer):
            return calls
        results = answer["results"] if response.is_success else [answer] * len(items)
        for call, result in zip(calls, results, strict=True):
            call.answered_at = now_ms()
            is_refused = result.get("status") == "error"
            call.status = 409 if is_refused else response.status_code
            call.answer = result
        self._history.record_answer()
        return calls


def _is_unknown(response: httpx.Response, answer: Any) -> bool:
    """Return whether the server answered that the effect of the call is unknown."""
    return response.is_error and answer["code"] == "OUTCOME_UNKNOWN"


def can_be_repeated(call: Call) -> bool:
    """Return whether a client may repeat the call after it got no answer."""
    if call.verb in {"enqueue", "enqueue_unique"}:
        return "job_id" in call.body
    if call.verb in {"enqueue_batch", "enqueue_unique_batch"}:
        return all("job_id" in job for job in call.body["jobs"])
    return call.verb in {"ack", "fail"}


_PATHS = {
    "enqueue": "/enqueue",
    "enqueue_batch": "/enqueue/batch",
    "enqueue_unique": "/enqueue",
    "enqueue_unique_batch": "/enqueue/batch",
    "fetch": "/fetch/batch",
    "heartbeat": "/heartbeat",
    "ack": "/ack/",
    "fail": "/fail/",
    "release": "/release/",
}


def _request(call: Call) -> tuple[str, Body]:
    path = _PATHS[call.verb]
    if not path.endswith("/"):
        return path, call.body
    members = {name: value for name, value in call.body.items() if name != "job_id"}
    return path + call.body["job_id"], members
