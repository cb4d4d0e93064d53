"""What an outbox has in its table, and how rows become requests. No I/O."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from corvo_client._batch_endpoints import read_enqueues
from corvo_client._call import API, Call
from corvo_client._codec import encode
from corvo_schema import EnqueueBatchReply, EnqueueRequest, ErrorCode, from_ms, new_job_id

MOST_ERROR = 500
"""Characters of a refusal that are kept."""

MOST_BYTES = 4_000_000
"""How large a request may grow, unless a single row is larger."""

# One row can be the reason for these; whatever else is wrong is wrong with all of them.
MAY_BE_ONE_ROW = frozenset(
    {
        ErrorCode.PARSE_ERROR,
        ErrorCode.VALIDATION_ERROR,
        ErrorCode.FORBIDDEN,
        ErrorCode.INVALID_STATE,
        ErrorCode.PAYLOAD_TOO_LARGE,
    }
)


class Row(NamedTuple):
    """A job that was committed and not sent yet. `body` is the JSON of its enqueue."""

    seq: int
    job_id: str
    body: str


@dataclass(slots=True)
class Sent:
    """What became of rows: those that the server has, and those that it will never take."""

    taken: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    def __add__(self, other: "Sent") -> "Sent":
        return Sent(self.taken + other.taken, self.refused | other.refused)


class Store(Protocol):
    """The table of an outbox."""

    def deliver(self, limit: int, send: Callable[[Sequence[Row]], Sent]) -> int:
        """Hand the oldest rows to `send`, up to `limit`, and note what became of them.

        Returns how many there were. A row that is with another relay at the moment is left to it
        where the database can tell. What `send` raises leaves all rows as they were.
        """
        ...


class AsyncStore(Protocol):
    """The table of an outbox."""

    async def deliver(self, limit: int, send: Callable[[Sequence[Row]], Awaitable[Sent]]) -> int:
        """Hand the oldest rows to `send`, up to `limit`, and note what became of them."""
        ...


def identified(request: EnqueueRequest) -> tuple[str, str]:
    """Return the id that a job is to have, and the JSON of its enqueue with that id.

    A delay counts from now on, by this machine's clock: nobody knows how long the row will wait.
    """
    job_id = request.job_id or new_job_id()
    if request.delay:
        due = from_ms(time.time_ns() // 1_000_000 + request.delay)
        request = request.model_copy(update={"scheduled_at": due})
        request.model_fields_set.discard("delay")
    return job_id, encode(request, job_id=job_id).decode()


def size_of(rows: Sequence[Row]) -> int:
    """Return about how many bytes a request with these rows has."""
    return sum(len(row.body) for row in rows)


def enqueue_rows(rows: Sequence[Row]) -> Call[EnqueueBatchReply]:
    """Enqueue rows, all or none. Their ids make it safe to repeat."""
    body = b'{"jobs":[%b]}' % b",".join([row.body.encode() for row in rows])
    return Call("POST", f"{API}/enqueue/batch", read_enqueues, body, repeatable=True)
