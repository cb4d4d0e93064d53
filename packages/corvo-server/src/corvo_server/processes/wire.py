"""What a front-end and the writer say to each other. Never seen by anybody else, nor kept."""

from typing import TypeAlias

from msgspec import Struct

from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.engine.worker import Ack, Fail, Heartbeat, Release
from corvo_server.store.records import Enqueue, Enqueued, JobHead, LeasedJob

# From a front-end: calls, each answered under its number


class EnqueueCall(Struct, frozen=True, array_like=True, tag="enqueue"):
    """Jobs, ready to be stored."""

    number: int
    request: Enqueue


class FetchCall(Struct, frozen=True, array_like=True, tag="fetch"):
    """A fetch, with the fields of a `FetchRequest`."""

    number: int
    queues: list[str]
    worker_id: str
    hostname: str | None
    timeout: int
    lease_duration: int | None
    count: int


class AckCall(Struct, frozen=True, array_like=True, tag="ack"):
    """Finished attempts. `at` is their place in the request."""

    number: int
    acks: list[Ack]
    at: str


class FailCall(Struct, frozen=True, array_like=True, tag="fail"):
    """Failed attempts."""

    number: int
    failures: list[Fail]


class ReleaseCall(Struct, frozen=True, array_like=True, tag="release"):
    """Attempts given back. `at` is their place in the request."""

    number: int
    releases: list[Release]
    at: str


class HeartbeatCall(Struct, frozen=True, array_like=True, tag="heartbeat"):
    """Jobs that are still being worked on."""

    number: int
    beats: list[Heartbeat]
    worker_id: str | None


class Withdraw(Struct, frozen=True, array_like=True, tag="withdraw"):
    """Whoever made this call is gone: no answer."""

    number: int


class Sample(Struct, frozen=True, array_like=True):
    """One value of a metric."""

    name: str
    labels: dict[str, str]
    value: float


class Counts(Struct, frozen=True, array_like=True, tag="counts"):
    """The requests that this front-end has answered, since its start."""

    samples: list[Sample]


Call: TypeAlias = (
    EnqueueCall | FetchCall | AckCall | FailCall | ReleaseCall | HeartbeatCall | Withdraw | Counts
)


# From the writer


class EnqueueAnswer(Struct, frozen=True, array_like=True, tag="enqueued"):
    """What became of each job."""

    number: int
    jobs: list[Enqueued]


class FetchAnswer(Struct, frozen=True, array_like=True, tag="fetched"):
    """The claimed jobs."""

    number: int
    jobs: list[LeasedJob]


class Moved(Struct, frozen=True, array_like=True, tag="moved"):
    """A transition that was done, or had been before."""

    job: JobHead


class Refused(Struct, frozen=True, array_like=True, tag="refused"):
    """One whose guard did not hold."""

    code: ErrorCode
    message: str
    state: JobState | None


class OutcomesAnswer(Struct, frozen=True, array_like=True, tag="outcomes"):
    """What became of each job."""

    number: int
    outcomes: list[Moved | Refused]


class CallFailed(Struct, frozen=True, array_like=True, tag="failed"):
    """The call as a whole could not be done. `kind` is the name of the exception's type."""

    number: int
    kind: str
    message: str
    code: ErrorCode | None = None
    details: list[tuple[str, str]] = []
    retry_after: int | None = None


class AskCounts(Struct, frozen=True, array_like=True, tag="counts"):
    """Tell the counts of requests."""


Answer: TypeAlias = EnqueueAnswer | FetchAnswer | OutcomesAnswer | CallFailed | AskCounts
