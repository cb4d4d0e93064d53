"""What the worker needs of the server, and the two ways in which a request can come to nothing."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from corvo_schema import ReplyModel
from corvo_schema.durations import Seconds
from corvo_schema.outcomes import AckResult, FailResult, HeartbeatReply, ReleaseResult
from corvo_schema.worker import FailItem, HeartbeatRequest, ReleaseItem


class HeldJob(ReplyModel):
    """A `FetchedJob` without what a worker has no use for: reading that took most of the time."""

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


class Ack(NamedTuple):
    """An `AckItem` that is not checked: its parts are checked already."""

    job_id: str
    lease_token: str | None = None
    result: Any = None


class LinkError(Exception):
    """A request did not do what it should; `str` of it is fit for a log line."""


class Undelivered(LinkError):
    """The server was not reached, or could not take it now. The same request may succeed later."""


class Refused(LinkError):
    """The server will never take this request: something in it is invalid or too large."""


class Link(Protocol):
    """The requests of the event loop. A result list is empty when the server tells nothing per job.

    All raise `LinkError`.
    """

    async def fetch(self, count: int, *, wait: bool) -> list[HeldJob]:
        """Return up to `count` jobs; unless `wait` is false, wait a while for the first."""
        ...

    async def ack(self, items: Sequence[Ack]) -> list[AckResult]:
        """Report jobs as done. The list is empty where all is well, too."""
        ...

    async def fail(self, items: Sequence[FailItem]) -> list[FailResult]:
        """Report attempts as failed."""
        ...

    async def release(self, items: Sequence[ReleaseItem]) -> list[ReleaseResult]:
        """Give jobs back."""
        ...


class Pulse(Protocol):
    """The one request of the heartbeat thread, over a connection of its own."""

    def beat(self, request: HeartbeatRequest) -> HeartbeatReply:
        """Extend leases; blocks. Raises `LinkError`."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
