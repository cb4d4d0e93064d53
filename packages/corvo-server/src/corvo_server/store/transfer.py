"""Transfer of all data from one store into another. An interrupted transfer can be resumed.

No server may run on the source or the target meanwhile. The target must be empty at first. It
records the progress of the transfer, and servers refuse to start on it until all rows are copied
and compared.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol
from zlib import crc32

import orjson

from corvo_server.store.protocol import UnusableStoreError

Row = Sequence[Any]
"""The values of a row in the order of its columns: numbers (0 or 1 for a flag), text or None."""

CHUNK = 2_000
"""Default number of rows per write."""


class Table(NamedTuple):
    """A table that every store has. The first `key` columns are its primary key."""

    name: str
    columns: tuple[str, ...]
    key: int = 1

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the primary key."""
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
            *("callback_job_id", "callback_payload", "created_at", "finished_at", "charged_to"),
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
            *("tags", "traceparent", "progress", "checkpoint", "result", "charged_to"),
            "charged_bytes",
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
    Table("key_ring", ("only_row", "version", "secret")),
    Table(
        "api_keys",
        (
            *("id", "name", "hash", "roles", "queues", "created_at", "created_by", "expires_at"),
            *("revoked_at", "last_used_at", "max_rate", "max_waiting", "max_bytes"),
        ),
    ),
    Table("webhooks", ("kind", "name", "position", "document"), key=2),
    Table("queue_defaults", ("queue", "options", "payload_schema", "updated_at")),
    Table("schedule_options", ("schedule", "options")),
    Table(
        "bulk_operations",
        (
            *("id", "request", "action", "status", "total", "processed", "affected", "errors"),
            *("error", "cursor", "last_seq", "created_at", "updated_at", "finished_at"),
        ),
    ),
    Table(
        "audit",
        (
            *("id", "at", "operation", "actor", "key_id", "roles", "address", "request_id"),
            *("target", "queue", "before", "after", "outcome"),
        ),
    ),
    Table("events", ("id", "type", "job_seq", "job_id", "queue", "at", "data")),
)
"""All tables in the order of the transfer: a table comes after those that its rows refer to."""

FLAGS = frozenset({"is_paused", "is_draining", "is_batch_counted", "is_cancel_requested"})


class TransferError(UnusableStoreError):
    """Raised when a transfer cannot start or go on. The message tells the operator what to do."""


class HalfTransferredError(UnusableStoreError):
    """Raised when a store is opened that an unfinished transfer has written to."""

    def __init__(self, place: str, source: str) -> None:
        super().__init__(
            f"The transfer from {source} into {place} is not complete. Run the same "
            "corvo-server transfer again: it continues where it stopped."
        )


class Progress(NamedTuple):
    """The progress of one table: the last key that was copied, the number of rows, their digest."""

    last: tuple[Any, ...] | None = None
    rows: int = 0
    digest: int = 0

    def after(self, table: Table, rows: Sequence[Row]) -> "Progress":
        """Return the progress after also copying `rows`."""
        total = (self.digest + digest(rows)) % 2**63
        return Progress(tuple(rows[-1][: table.key]), self.rows + len(rows), total)


class Side(Protocol):
    """A store as one side of a transfer, locked against other users until `close`."""

    @property
    def place(self) -> str:
        """Path or URL of the store, without passwords."""
        ...

    def count(self) -> dict[str, int]:
        """Return the number of rows of each table, by its name."""
        ...

    def read(self, table: Table, after: tuple[Any, ...] | None, limit: int) -> list[Row]:
        """Return up to `limit` rows with a key above `after` (None: from the start), by key."""
        ...

    def newest_seq(self) -> int:
        """Return the highest seq that any job ever had, also a deleted one."""
        ...

    def wall_offset(self) -> int:
        """Return the offset of the wall clock from the server's time in ms."""
        ...

    def find_problems(self) -> Iterable[str]:
        """Return the inconsistencies of the data, one sentence each."""
        ...

    def close(self) -> None:
        """Release the store, so that others can use it again."""
        ...


class Target(Side, Protocol):
    """A side that can be written."""

    def begin(self, source: str, rows: dict[str, int]) -> dict[str, Progress]:
        """Start or resume the transfer of `rows` rows per table from `source`.

        Return the progress of each table that an earlier run has started. Raises `TransferError` if
        the target has other data.
        """
        ...

    def write(self, table: Table, rows: Sequence[Row], progress: Progress) -> None:
        """Store rows and the progress after them in one transaction."""
        ...

    def settle(self, newest_seq: int, wall_offset: int) -> None:
        """Make the seqs of new jobs start above `newest_seq`, and store the offset of the clock.

        Call after the last `write`.
        """
        ...

    def finish(self) -> None:
        """Mark the transfer as complete, so that servers can use the store."""
        ...


class Transfer:
    """Copies all rows from the source to the target, and compares them."""

    def __init__(
        self,
        source: Side,
        target: Target,
        note: Callable[[str, int], None] = lambda *_: None,
        chunk: int = CHUNK,
    ) -> None:
        """Call `note` per chunk with its step ("jobs" or "compare jobs") and number of rows."""
        self._source = source
        self._target = target
        self._note = note
        self._chunk = chunk

    def run(self) -> dict[str, int]:
        """Copy all rows that the target lacks, then compare and check all tables.

        Return the number of rows of each table. Raises `TransferError`.
        """
        counted = self._source.count()
        done = self._target.begin(self._source.place, counted)
        for table in TABLES:
            done[table.name] = self._copy(table, done.get(table.name, Progress()))
        for table in TABLES:
            self._compare(table, done[table.name], counted[table.name])
        self._target.settle(self._source.newest_seq(), self._source.wall_offset())
        problems = list(self._target.find_problems())
        if problems:
            raise TransferError(
                f"All rows were copied to {self._target.place}, but its data is inconsistent: "
                f"{problems[0]}. Servers refuse to start on it. Run corvo-server check on the "
                "source to find out whether its data is inconsistent, too."
            )
        self._target.finish()
        return counted

    def _copy(self, table: Table, progress: Progress) -> Progress:
        self._note(table.name, progress.rows)
        while rows := self._source.read(table, progress.last, self._chunk):
            progress = progress.after(table, rows)
            self._target.write(table, rows, progress)
            self._note(table.name, len(rows))
        return progress

    def _compare(self, table: Table, sent: Progress, counted: int) -> None:
        """Raise `TransferError` unless the target has exactly the rows that were sent."""
        stored = Progress()
        while rows := self._target.read(table, stored.last, self._chunk):
            stored = stored.after(table, rows)
            self._note(f"compare {table.name}", len(rows))
        if (stored.rows, stored.digest) != (sent.rows, sent.digest) or sent.rows != counted:
            raise TransferError(
                f"{table.name}: the source has {counted} rows, {sent.rows} were sent, and "
                f"{stored.rows} are in {self._target.place}, or their values differ. Stop every "
                "server that runs on the source or the target, empty the target and begin again."
            )


def digest(rows: Iterable[Row]) -> int:
    """Return a checksum of rows that does not depend on their order."""
    return sum(crc32(orjson.dumps(list(row))) for row in rows)
