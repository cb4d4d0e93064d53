"""Calls as values: the request of a client method and the reader of its answer. No I/O."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from corvo_client._errors import ApiError

R = TypeVar("R")

API = "/api/v1"


@dataclass(slots=True)
class Call(Generic[R]):
    """One request.

    `repeatable`: sending it twice has no second effect. `patient`: the retry policy applies; if
    False, the first failure is raised. `waits`: seconds by which the server may delay its answer.
    `prompt`: the retry policy also limits how long an attempt takes, because a caller waits for an
    answer that comes at once. `within`: that limit of one attempt, in seconds; None: no limit.
    A call with a `batch_endpoint` may be sent to that endpoint as `item`, together with others.
    `may_be_sealed`: a codec has encoded the documents of the body already, or some of them.
    """

    verb: str
    path: str
    read: Callable[[bytes], R]
    body: bytes | None = None
    repeatable: bool = False
    patient: bool = True
    waits: float = 0.0
    prompt: bool = False
    within: float | None = None
    batch_endpoint: "BatchEndpoint[R] | None" = None
    item: bytes = b""
    may_be_sealed: bool = False


def left(seconds: float, call: Call[Any], started: float) -> float:
    """Return a timeout for the next step of an attempt that began at `started`.

    It is `seconds`, or less if less is left of the attempt, but never 0.
    """
    if call.within is None:
        return seconds
    return max(min(seconds, started + call.within - time.monotonic()), 0.001)


class Exact(NamedTuple, Generic[R]):
    """A reply and the bytes that it was read from."""

    value: R
    body: bytes


def exact(call: Call[R]) -> Call[Exact[R]]:
    """Return a call that also returns the body of its answer. It is never part of a batch."""

    def read(body: bytes) -> Exact[R]:
        return Exact(call.read(body), body)

    return Call(
        call.verb,
        call.path,
        read,
        call.body,
        repeatable=call.repeatable,
        patient=call.patient,
        waits=call.waits,
        prompt=call.prompt,
        may_be_sealed=call.may_be_sealed,
    )


@dataclass(frozen=True, slots=True)
class BatchEndpoint(Generic[R]):
    """An endpoint that takes many calls of one kind in one request to `path`.

    The request's body is an object whose only `member` is the array of items. `read` returns one
    outcome per item, in order.
    """

    path: str
    member: str
    max_items: int
    read: Callable[[bytes], list[R | ApiError]]

    def join(self, calls: Sequence[Call[R]]) -> Call[list[R | ApiError]]:
        """Return one call for many. It is repeatable or prompt if all of them are."""
        items = b",".join([call.item for call in calls])
        return Call(
            "POST",
            self.path,
            self.read,
            b'{"%b":[%b]}' % (self.member.encode(), items),
            repeatable=all(call.repeatable for call in calls),
            prompt=all(call.prompt for call in calls),
        )
