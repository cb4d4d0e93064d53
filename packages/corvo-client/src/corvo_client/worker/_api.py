"""The requests of a worker to the server, and the two ways in which a request fails."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from corvo_schema import ReplyModel
from corvo_schema.attempts import FailItem, HeartbeatRequest, ReleaseItem
from corvo_schema.durations import Seconds
from corvo_schema.outcomes import AckResult, FailResult, HeartbeatReply, ReleaseResult


class HeldJob(ReplyModel):
    """A `FetchedJob` with only the fields that a worker uses: reading all takes longer."""

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
    """An `AckItem` without validation: its fields are valid already."""

    job_id: str
    lease_token: str | None = None
    result: Any = None


class RequestFailed(Exception):
    """A request failed. Its `str` is the text for the log."""


class Undelivered(RequestFailed):
    """The server was not reached or is unavailable. The same request may succeed later."""


class Refused(RequestFailed):
    """The request is invalid or too large. Sending it again cannot succeed."""


class ServerApi(Protocol):
    """The requests of the event loop. A result list is empty when there is nothing to tell per job.

    All raise `RequestFailed`.
    """

    async def fetch(self, count: int, *, wait: bool) -> list[HeldJob]:
        """Return up to `count` jobs; unless `wait` is false, wait a while for the first."""
        ...

    async def ack(self, items: Sequence[Ack]) -> list[AckResult]:
        """Report jobs as completed. The list is also empty when all acks succeeded."""
        ...

    async def fail(self, items: Sequence[FailItem]) -> list[FailResult]:
        """Report attempts as failed."""
        ...

    async def release(self, items: Sequence[ReleaseItem]) -> list[ReleaseResult]:
        """Release jobs."""
        ...


class HeartbeatSender(Protocol):
    """The only request of the heartbeat thread. It has its own connection."""

    def beat(self, request: HeartbeatRequest) -> HeartbeatReply:
        """Extend leases. Blocks. Raises `RequestFailed`."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
