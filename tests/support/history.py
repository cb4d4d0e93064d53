"""Records every request of the clients and its answer, for the history checker."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from support.api_client import ApiClient, Body


def now_ms() -> int:
    """The time of this machine, which is the server's as well."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Call:
    """One request: what was asked, and what came back. Times in ms since the epoch."""

    verb: str
    body: Body
    """Of calls on one job, with its `job_id`."""
    asked_at: int
    answered_at: int | None = None
    status: int | None = None
    """None: no answer came. It may have taken effect or not."""
    answer: Any = None

    @property
    def is_done(self) -> bool:
        """Whether the server said that it did it."""
        return self.status is not None and self.status < 300

    @property
    def is_open(self) -> bool:
        """Whether nobody knows if it took effect."""
        return self.status is None

    @property
    def may_have_effect(self) -> bool:
        """Whether it is not known to have had none."""
        return self.is_done or self.is_open


class History:
    """All calls, in the order in which they were asked.

    `on_answer` is called in the very moment of each answer.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers = 0
        self.on_answer: Callable[[], None] | None = None

    def of(self, *verbs: str) -> Iterator[Call]:
        """The calls of these verbs."""
        return (call for call in self.calls if call.verb in verbs)

    def note(self, verb: str, body: Body) -> Call:
        """Write down that a call is about to be made."""
        call = Call(verb, body, now_ms())
        self.calls.append(call)
        return call

    def note_answer(self) -> None:
        """Count an answer."""
        self.answers += 1
        if self.on_answer is not None:
            self.on_answer()


class Stopped(Exception):
    """There will be no more answers."""


class Recorder:
    """A client that writes down what it asks and is answered."""

    def __init__(self, api: ApiClient, history: History) -> None:
        self._api = api
        self._history = history

    async def call(self, verb: str, body: Body) -> Call:
        """Make a call. That no answer comes is an outcome like others."""
        call = self._history.note(verb, body)
        try:
            response = await self._api.send("POST", *_request(call))
        except httpx.TransportError:
            return call
        call.answered_at = now_ms()
        call.status = response.status_code
        call.answer = response.json() if response.content else None
        self._history.note_answer()
        return call

    async def answered(self, verb: str, body: Body) -> Call:
        """Make a call. Raises `Stopped` when no answer comes."""
        call = await self.call(verb, body)
        if call.is_open:
            raise Stopped
        return call

    async def reported(self, verb: str, items: list[Body]) -> None:
        """Report on many jobs in one request. Raises `Stopped` when no answer comes."""
        if any(call.is_open for call in await self.outcomes(verb, items)):
            raise Stopped

    async def outcomes(self, verb: str, items: list[Body]) -> list[Call]:
        """Report on many jobs in one request; noted as if each had been a call of its own."""
        calls = [self._history.note(verb, item) for item in items]
        try:
            body = {f"{verb}s": items}
            response = await self._api.send("POST", f"/{verb}/batch", body)
        except httpx.TransportError:
            return calls
        answer = response.json() if response.content else {}
        results = answer["results"] if response.is_success else [answer] * len(items)
        for call, result in zip(calls, results, strict=True):
            call.answered_at = now_ms()
            is_refused = result.get("status") == "error"
            call.status = 409 if is_refused else response.status_code
            call.answer = result
        self._history.note_answer()
        return calls


def can_be_repeated(call: Call) -> bool:
    """Whether a client may send it again that got no answer."""
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
