"""Requests of a worker to the server, and their errors."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from corvo_schema import ReplyModel
from corvo_schema.attempts import FailItem, HeartbeatRequest, ReleaseItem
from corvo_schema.durations import Seconds
from corvo_schema.outcomes import AckResult, FailResult, HeartbeatReply, ReleaseResult


class LeasedJob(ReplyModel):
    """A `FetchedJob` with only the fields that a worker uses. Decoding all fields is slower."""

    job_id: str
    queue: str
    payload: Any = None
    attempt: int
    max_retries: int = 3
    lease_duration: Seconds
    checkpoint: Any = None
    tags: dict[str, str] | None = None
    lease_token: str | None = None
    traceparent: str | None = None


class Unreadable(NamedTuple):
    """In place of a payload: why the codec cannot decode the documents of a job."""

    reason: str


class Override(NamedTuple):
    """A server (None: that of the code) and an API key that override those of the code.

    `source` says where they are from, for messages.
    """

    server: str | None
    api_key: str | None
    source: str


class Ack(NamedTuple):
    """An `AckItem` without validation, because the worker sets only valid fields."""

    job_id: str
    lease_token: str | None = None
    result: Any = None


class RequestFailed(Exception):
    """A request failed. `str()` is the text for the log."""


class Undelivered(RequestFailed):
    """There was no connection, or the server is unavailable. The request may succeed later."""


class StorageFull(Undelivered):
    """The disk of the server is too full for what the request stores."""


class Refused(RequestFailed):
    """The request is invalid or too large. Sending it again cannot succeed."""


class ServerApi(Protocol):
    """Requests of the event loop.

    The methods raise `RequestFailed`. They may return an empty list if all items succeeded.
    """

    async def fetch(self, queues: tuple[str, ...], count: int, *, wait: bool) -> list[LeasedJob]:
        """Return up to `count` jobs. If `wait` is true, the server waits for the first one.

        Raises `Refused` if the same fetch cannot succeed later.
        """
        ...

    async def ack(self, items: Sequence[Ack]) -> list[AckResult]:
        """Report jobs as completed. The list is also empty if all acks succeeded."""
        ...

    async def fail(self, items: Sequence[FailItem]) -> list[FailResult]:
        """Report attempts as failed."""
        ...

    async def release(self, items: Sequence[ReleaseItem]) -> list[ReleaseResult]:
        """Release jobs."""
        ...


class HeartbeatSender(Protocol):
    """Heartbeat request of the heartbeat thread, which has its own connection."""

    def beat(self, request: HeartbeatRequest) -> HeartbeatReply:
        """Extend leases. Block until the answer arrives. Raises `RequestFailed`."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
