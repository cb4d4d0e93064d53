"""Rows of an outbox table, and the requests that are made from them. No I/O."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from corvo_client._batch_endpoints import read_enqueues
from corvo_client._call import API, Call
from corvo_client._calls.jobs import enqueue
from corvo_client._documents import Codec
from corvo_client._sealing import sealing_of
from corvo_schema import EnqueueBatchReply, EnqueueRequest, ErrorCode, from_ms, new_job_id

MAX_ERROR_CHARS = 500
"""Maximum length of a stored error, in characters."""

MAX_REQUEST_BYTES = 4_000_000
"""Maximum size of a request with more than one row, in bytes."""

# A single row can cause these errors. All others concern the whole request.
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
    """A committed job that is not sent yet. `body` is the JSON of its enqueue request."""

    job_id: str
    body: str


@dataclass(slots=True)
class Sent:
    """Result of sending rows.

    `accepted`: the job ids of rows that the server has. `refused`: the errors, by job id, of rows
    that the server will never accept. A row is named by its job id, because a database may give
    the number of a deleted row to a new one.
    """

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: "Sent") -> "Sent":
        return Sent(self.accepted + other.accepted, self.refused | other.refused)


class Store(Protocol):
    """The table of an outbox."""

    def deliver(self, limit: int, send: Callable[[Sequence[Row]], Sent]) -> int:
        """Pass up to `limit` of the oldest rows to `send`. Return their number.

        Delete accepted rows and store the errors of refused ones. If `send` raises, no row
        changes. Where the database supports it, rows locked by another relay are skipped.
        """
        ...


class AsyncStore(Protocol):
    """The table of an outbox, for asyncio."""

    async def deliver(self, limit: int, send: Callable[[Sequence[Row]], Awaitable[Sent]]) -> int:
        """Do what `Store.deliver` does."""
        ...


def with_job_id(request: EnqueueRequest, codec: Codec | Literal[False] | None) -> tuple[str, str]:
    """Return the id of a new job, and the JSON of its enqueue request with that id.

    The `codec` (None: that of the environment, False: none) has encoded its payload.

    A `delay` becomes a `scheduled_at` by this machine's clock, because the relay may send the row
    much later.
    """
    job_id = request.job_id or new_job_id()
    if request.delay:
        due = from_ms(time.time_ns() // 1_000_000 + request.delay)
        request = request.model_copy(update={"scheduled_at": due})
        request.model_fields_set.discard("delay")
    call = enqueue(request.model_copy(update={"job_id": job_id}))
    sealing = sealing_of(codec)
    if sealing is not None:
        call = sealing.sealed(call)
    return job_id, (call.body or b"").decode()


def size_of(rows: Sequence[Row]) -> int:
    """Return the approximate size of a request with these rows, in bytes."""
    return sum(len(row.body) for row in rows)


def enqueue_rows(rows: Sequence[Row]) -> Call[EnqueueBatchReply]:
    """Return the call that enqueues rows, all or none. It is repeatable: rows have job ids."""
    body = b'{"jobs":[%b]}' % b",".join([row.body.encode() for row in rows])
    return Call(
        "POST", f"{API}/enqueue/batch", read_enqueues, body, repeatable=True, may_be_sealed=True
    )
