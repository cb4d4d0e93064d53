"""Moves a whole installation from one store into another, in steps that can be taken up again.

The source stands still: no server works on it meanwhile. The target is empty at first; from then on
it says how far the transfer has come, and servers refuse it, until all is there and was compared.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol
from zlib import crc32

import orjson

from corvo_server.store.protocol import UnusableStoreError

Row = Sequence[Any]
"""The values of a row by the columns of its table: numbers (also for yes and no), texts, None."""

CHUNK = 2_000


class Table(NamedTuple):
    """A kind of rows, the same in every store. `key` are the leading columns, in their order."""

    name: str
    columns: tuple[str, ...]
    key: int = 1

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the key."""
        return self.columns[: self.key]


COUNTERS = (
    "scheduled",
    "pending",
    "active",
    "retrying",
    "completed",
    "dead",
    "cancelled",
    "enqueued",
    "failed",
)

TABLES = (
    Table(
        "queues",
        (
            *("name", "is_paused", "is_draining", "max_concurrency", "max_per_key"),
            *("rate_limit", "rate_window", "created_at", *COUNTERS),
        ),
    ),
    Table(
        "batches",
        (
            *("id", "total", "succeeded", "failed", "cancelled", "callback_queue"),
            *("callback_job_id", "callback_payload", "created_at", "finished_at"),
        ),
    ),
    Table(
        "jobs",
        (
            *("seq", "id", "queue", "state", "priority", "attempt", "max_retries", "backoff"),
            *("base_delay", "max_delay", "unique_key", "unique_period", "batch_id"),
            *("is_batch_counted", "worker_id", "hostname", "lease_token", "lease_ms"),
            *("lease_expires_at", "scheduled_at", "expire_at", "created_at", "started_at"),
            *("finished_at", "failed_at", "is_cancel_requested", "concurrency_key", "payload"),
            *("tags", "traceparent", "progress", "checkpoint", "result"),
        ),
    ),
    Table("job_failures", ("number", "job_seq", "attempt", "error", "backtrace", "at")),
    Table("unique_locks", ("queue", "unique_key", "job_seq", "expires_at"), key=2),
    Table("throttle_starts", ("queue", "at", "starts"), key=2),
    Table(
        "schedules",
        (
            *("id", "name", "queue", "cron", "timezone", "payload", "priority", "max_retries"),
            *("unique_key", "unique_period", "tags", "misfire", "created_at", "updated_at"),
            *("next_run", "is_paused", "last_run", "last_job_id", "last_skipped"),
            "last_skip_reason",
        ),
    ),
    Table(
        "bulk_operations",
        (
            *("id", "request", "action", "status", "total", "processed", "affected", "errors"),
            *("error", "cursor", "last_seq", "created_at", "updated_at", "finished_at"),
        ),
    ),
    Table("events", ("id", "type", "job_seq", "job_id", "queue", "at", "data")),
)
"""In the order in which they are moved: what others refer to comes first."""

FLAGS = frozenset({"is_paused", "is_draining", "is_batch_counted", "is_cancel_requested"})


class TransferError(UnusableStoreError):
    """It cannot be done, or not gone on with. The message says what to do."""


class HalfTransferredError(UnusableStoreError):
    """A server, or a transfer of something else, was to use a target that is not complete."""

    def __init__(self, place: str, source: str) -> None:
        super().__init__(
            f"The transfer from {source} into {place} is not complete. Run the same "
            "corvo-server transfer again: it continues where it stopped."
        )


class Progress(NamedTuple):
    """How much of a table is there: the key of the last row, how many rows, and their sum."""

    last: tuple[Any, ...] | None = None
    rows: int = 0
    digest: int = 0

    def after(self, table: Table, rows: Sequence[Row]) -> "Progress":
        """With these rows, too."""
        total = (self.digest + digest(rows)) % 2**63
        return Progress(tuple(rows[-1][: table.key]), self.rows + len(rows), total)


class Side(Protocol):
    """A store as one side of a transfer, which nobody else uses meanwhile."""

    @property
    def place(self) -> str:
        """Where it is, as it may be shown."""
        ...

    def count(self) -> dict[str, int]:
        """How many rows each table has."""
        ...

    def read(self, table: Table, after: tuple[Any, ...] | None, limit: int) -> list[Row]:
        """The next rows by their key, after that one."""
        ...

    def newest_seq(self) -> int:
        """The highest seq that any job ever had."""
        ...

    def find_problems(self) -> Iterable[str]:
        """What is wrong with it, as sentences."""
        ...

    def close(self) -> None:
        """Let others use it again."""
        ...


class Target(Side, Protocol):
    """A side that can be written."""

    def begin(self, source: str, rows: dict[str, int]) -> dict[str, Progress]:
        """Be the target of a transfer of so many rows; how far an earlier attempt has come.

        Raises `TransferError` when there is data of another origin in it.
        """
        ...

    def write(self, table: Table, rows: Sequence[Row], progress: Progress) -> None:
        """Store rows and how far it has come with them, both or neither."""
        ...

    def settle(self, newest_seq: int) -> None:
        """All rows are there; give no job a seq that one had before."""
        ...

    def finish(self) -> None:
        """Be a store that servers can use."""
        ...


class Transfer:
    """Moves all rows from one side to the other, and compares them."""

    def __init__(
        self,
        source: Side,
        target: Target,
        note: Callable[[str, int], None] = lambda *_: None,
        chunk: int = CHUNK,
    ) -> None:
        """`note` is told of each chunk: the step ("jobs", or "compare jobs") and its rows."""
        self._source = source
        self._target = target
        self._note = note
        self._chunk = chunk

    def run(self) -> dict[str, int]:
        """Move what is not there yet, compare and check all; how many rows each table has.

        Raises `TransferError`.
        """
        counted = self._source.count()
        done = self._target.begin(self._source.place, counted)
        for table in TABLES:
            done[table.name] = self._move(table, done.get(table.name, Progress()))
        for table in TABLES:
            self._compare(table, done[table.name], counted[table.name])
        self._target.settle(self._source.newest_seq())
        problems = list(self._target.find_problems())
        if problems:
            raise TransferError(
                f"All rows are in {self._target.place}, but it is not sound: {problems[0]}. Look "
                "at the source with corvo-server check. Servers refuse the target as it is."
            )
        self._target.finish()
        return counted

    def _move(self, table: Table, progress: Progress) -> Progress:
        self._note(table.name, progress.rows)
        while rows := self._source.read(table, progress.last, self._chunk):
            progress = progress.after(table, rows)
            self._target.write(table, rows, progress)
            self._note(table.name, len(rows))
        return progress

    def _compare(self, table: Table, sent: Progress, counted: int) -> None:
        """What is there is what was sent, row by row."""
        there = Progress()
        while rows := self._target.read(table, there.last, self._chunk):
            there = there.after(table, rows)
            self._note(f"compare {table.name}", len(rows))
        if (there.rows, there.digest) != (sent.rows, sent.digest) or sent.rows != counted:
            raise TransferError(
                f"{table.name}: the source has {counted} rows, {sent.rows} were sent, and "
                f"{there.rows} are in {self._target.place}, or they differ. Was a server running "
                "on one of them? Empty the target and begin again."
            )


def digest(rows: Iterable[Row]) -> int:
    """A sum over rows that does not depend on their order."""
    return sum(crc32(orjson.dumps(list(row))) for row in rows)
