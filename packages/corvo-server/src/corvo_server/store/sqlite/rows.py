"""Convert between rows of SQLite and records, and insert rows.

For each statement, SQLite opens the table and all of its indexes again, which takes longer than
writing a row. So one statement inserts up to 100 rows.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from types import SimpleNamespace
from typing import Any, NamedTuple

from corvo_schema.states import EventType, JobState
from corvo_server.store.queues import QueueRecord
from corvo_server.store.records import (
    Change,
    Event,
    Failure,
    JobRecord,
    LeasedJob,
    NewJob,
)
from corvo_server.store.rows.codes import BACKOFF_CODES, STATE_CODES
from corvo_server.store.rows.heads import HEAD_WIDTH, PLAIN_WIDTH, plain_head, to_head
from corvo_server.store.rows.queries import load_queries
from corvo_server.store.rows.starts import start_values

Row = tuple[Any, ...]

_NO_OPTIONS = (None,) * 8

SQL: SimpleNamespace = load_queries("corvo_server.store.sqlite.sql")
"""The statements of the folder `sql`, as attributes by name."""

MIN_BULK_ROWS = 8
"""Rows from which one statement for all of them is faster than a statement per row."""

_SIZES = (100, 25, 5, 1)
"""Rows per statement. The fixed sizes let sqlite3 cache the compiled statements."""


class Insert:
    """An INSERT statement for any number of rows."""

    def __init__(self, statement: str) -> None:
        """`statement` inserts one row and ends with its values, as `VALUES (?, ?)`."""
        head, values = statement.rsplit("VALUES", 1)
        self._statements = [(size, f"{head}VALUES {', '.join([values] * size)}") for size in _SIZES]

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Insert the rows in their order."""
        at = 0
        for size, statement in self._statements:
            for start in range(at, len(rows) - size + 1, size):
                at = start + size
                connection.execute(statement, [*chain.from_iterable(rows[start:at])])


def to_leased(row: Row) -> tuple[int, LeasedJob]:
    """Convert a row of `claimed_by_seq` to its seq and the leased job."""
    return row[0], LeasedJob(to_head(row[:HEAD_WIDTH]), *row[HEAD_WIDTH:])


def to_plain(row: Row) -> LeasedJob:
    """Convert a row of `plain_by_seq` whose last column is true."""
    return LeasedJob(plain_head(row[:PLAIN_WIDTH]), row[PLAIN_WIDTH], None, None)


def to_record(row: Row) -> JobRecord:
    """Convert a row of `records_by_id`, without failures and events."""
    return JobRecord(to_head(row[:HEAD_WIDTH]), *row[HEAD_WIDTH:])


def to_queue(row: Row) -> QueueRecord:
    """Convert a row of `list_queues`."""
    return QueueRecord(row[0], row[1] == 1, row[2] == 1, *row[3:])


def to_event(row: Row) -> Event:
    """Convert a row of `events_of_job` or `events_after`."""
    return Event(row[0], EventType(row[1]), *row[2:])


def new_job_row(seq: int, job: NewJob) -> Row:
    """Return the parameters of `insert_plain_job`, which are also the first of `insert_job`."""
    return (
        seq,
        job.id,
        job.queue,
        STATE_CODES[job.state],
        job.payload,
        job.created_at,
        int(job.priority),
        job.max_retries,
        BACKOFF_CODES[job.backoff],
        job.base_delay,
        job.max_delay,
        job.unique_period,
    )


def options_row(job: NewJob) -> Row | None:
    """Return the remaining parameters of `insert_job`; None if the job has no options."""
    options = (
        job.unique_key,
        job.scheduled_at,
        job.expire_at,
        job.tags,
        job.batch_id,
        job.concurrency_key,
        job.traceparent,
        job.charged_to,
    )
    if options == _NO_OPTIONS:
        return None
    is_pending = job.state is JobState.PENDING
    due_at = None if is_pending else job.scheduled_at
    pending_key = job.concurrency_key if is_pending else None
    return (*options, job.charged_bytes, due_at, job.expire_at, pending_key)


_COMPLETED = EventType.COMPLETED


class Update(NamedTuple):
    """Two forms of one UPDATE: for one job, and for several jobs with the same values.

    The form for several jobs takes half the time per job.
    """

    one: str
    """Statement whose last parameter is a seq."""
    many: str | None
    """Statement whose last parameter is a JSON array of seqs; None if there is no such form."""


def _change_row(change: Change) -> Row:
    """Return the parameters of `update_head` without the seq."""
    job = change.job
    return (
        job.queue,
        STATE_CODES[job.state],
        int(job.priority),
        job.attempt,
        job.max_retries,
        job.is_batch_counted,
        job.worker_id,
        job.hostname,
        job.lease_token,
        job.lease_ms,
        job.lease_expires_at,
        job.scheduled_at,
        job.expire_at,
        job.started_at,
        job.finished_at,
        job.failed_at,
        job.is_cancel_requested,
        job.concurrency_key,
        change.result,
        change.checkpoint,
        change.progress,
    )


def update_of(change: Change) -> tuple[Update, Row]:
    """Return the statement that writes `change`, and its parameters without the seq.

    Start and completion, which every job goes through, have their own statements. These cost a
    third of `update_head`, which writes all columns and so evaluates every index.
    """
    job = change.job
    if job.concurrency_key is None:
        if change.event is _COMPLETED:
            return _COMPLETE, (job.is_batch_counted, job.finished_at, change.result)
        if job.expire_at is None and (values := start_values(change)) is not None:
            return _START, values
    return _UPDATE, _change_row(change)


_UPDATE = Update(SQL.update_head, None)
_START = Update(SQL.start_job, SQL.start_jobs)
_COMPLETE = Update(SQL.complete_job, SQL.complete_jobs)


def replacement_row(seq: int, job: NewJob) -> Row:
    """Return the parameters of `replace_job`."""
    return (
        job.payload,
        job.tags,
        BACKOFF_CODES[job.backoff],
        job.base_delay,
        job.max_delay,
        seq,
    )


def failure_row(seq: int, failure: Failure) -> Row:
    """Return the parameters of `insert_failure`."""
    return (seq, failure.attempt, failure.error, failure.backtrace, failure.at)


def to_failure(row: Row) -> Failure:
    """Convert a row of `failures_by_seq`."""
    return Failure(row[1], row[2], row[3], row[4])


def fetch_one(connection: sqlite3.Connection, statement: str, values: Sequence[Any] = ()) -> Row:
    """Run a statement that always returns exactly one row, and return that row."""
    row: Row = connection.execute(statement, values).fetchone()
    return row
