"""The table of jobs: the writer's access to it, and reads of whole jobs."""

import sqlite3
from collections.abc import Collection, Sequence
from itertools import groupby, islice

import orjson

from corvo_schema.states import JobState
from corvo_server.store.commit.tables import KnownJob
from corvo_server.store.records import Change, JobHead, JobRecord, NewJob
from corvo_server.store.rows.codes import STATE_CODES, STATES
from corvo_server.store.rows.heads import to_head
from corvo_server.store.sizes import MAX_FAILURES, MAX_TIMELINE
from corvo_server.store.sqlite.rows import (
    MIN_BULK_ROWS,
    SQL,
    Insert,
    Row,
    failure_row,
    fetch_one,
    new_job_row,
    options_row,
    replacement_row,
    to_event,
    to_failure,
    to_record,
    update_of,
)
from corvo_server.store.sqlite.tags import add_tags

_ACTIVE = JobState.ACTIVE
_INSERT_PLAIN, _INSERT = Insert(SQL.insert_plain_job), Insert(SQL.insert_job)
_CACHE_SIZE = 10_000


class Jobs:
    """Implements `store.commit.tables.JobTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cached_heads: dict[str, JobHead] = {}
        """Heads of active jobs by id, equal to their rows; the job written last comes last.

        The next call for an active job is an ack, fail or heartbeat, which then reads no row. The
        cache is always right, because there is no other writer.
        """
        self._newest: tuple[int, int] | None = None
        """Highest seq ever used and latest time of creation (ms); None if not read yet."""

    def forget(self) -> None:
        """Drop all cached values, because the transaction that wrote them was rolled back."""
        self._cached_heads.clear()
        self._newest = None

    def insert(self, jobs: Sequence[NewJob]) -> Sequence[int]:
        last, newest = self._newest or fetch_one(self._connection, SQL.newest_job)
        first = last + 1
        plain: list[Row] = []
        others: list[Row] = []
        tagged: list[tuple[int, str]] = []
        for seq, job in enumerate(jobs, first):
            # Searches by time need `created_at` in the order of seqs, even if the clock goes back.
            newest = job.created_at = max(job.created_at, newest)
            row, options = new_job_row(seq, job), options_row(job)
            if options is None:
                plain.append(row)
                continue
            others.append(row + options)
            if job.tags is not None:
                tagged.append((seq, job.tags))
        _INSERT_PLAIN.run(self._connection, plain)
        _INSERT.run(self._connection, others)
        if tagged:
            add_tags(self._connection, tagged)
        self._newest = last + len(jobs), newest
        return range(first, first + len(jobs))

    def known(self, job_ids: list[str]) -> dict[str, KnownJob]:
        # Ids sort by time of creation, so the range of new ids rarely contains a stored one. This
        # query then saves looking up each id.
        span = (min(job_ids), max(job_ids))
        if fetch_one(self._connection, SQL.has_ids_between, span) == (0,):
            return {}
        rows = self._connection.execute(SQL.known_by_id, (orjson.dumps(job_ids).decode(),))
        return {
            job_id: KnownJob(seq, STATES[code], batch_id, queue)
            for job_id, seq, code, batch_id, queue in rows
        }

    def other_payloads(self, jobs: Sequence[NewJob]) -> list[int]:
        return [
            index
            for index, job in enumerate(jobs)
            if fetch_one(self._connection, SQL.has_other_payload, (job.id, job.payload)) == (1,)
        ]

    def heads(self, job_ids: Collection[str]) -> dict[str, JobHead]:
        cached = self._cached_heads
        heads = {job_id: cached[job_id] for job_id in job_ids if job_id in cached}
        if len(heads) < len(job_ids):
            wanted = orjson.dumps([job_id for job_id in job_ids if job_id not in heads]).decode()
            rows = self._connection.execute(SQL.heads_by_id, (wanted,))
            heads.update((head.id, head) for head in map(to_head, rows))
        return heads

    def update(self, changes: list[Change]) -> None:
        # Only adjacent changes are grouped: several changes of one job must keep their order.
        for (update, values), run in groupby(changes, update_of):
            seqs = [change.job.seq for change in run]
            if update.many is not None and len(seqs) >= MIN_BULK_ROWS:
                self._connection.execute(update.many, (*values, orjson.dumps(seqs).decode()))
            else:
                self._connection.executemany(update.one, [(*values, seq) for seq in seqs])
        self._cache_heads(changes)
        failures = [
            failure_row(change.job.seq, change.failure) for change in changes if change.failure
        ]
        if failures:
            self._connection.executemany(SQL.insert_failure, failures)
        replaced = [
            replacement_row(change.job.seq, change.replacement)
            for change in changes
            if change.replacement
        ]
        if replaced:
            self._connection.executemany(SQL.replace_job, replaced)

    def remove(self, jobs: list[JobHead]) -> None:
        for job in jobs:
            self._cached_heads.pop(job.id, None)
        self._connection.executemany(SQL.delete_job, [(job.seq,) for job in jobs])
        self._connection.execute(SQL.keep_last_seq, (max(job.seq for job in jobs),))

    def _cache_heads(self, changes: list[Change]) -> None:
        cached = self._cached_heads
        for change in changes:
            job = change.job
            if job.state is _ACTIVE and change.replacement is None:
                cached[job.id] = job
            else:
                cached.pop(job.id, None)
        for job_id in list(islice(cached, max(0, len(cached) - _CACHE_SIZE))):
            del cached[job_id]

    def due(self, now: int, limit: int) -> list[JobHead]:
        return self._heads(SQL.due_heads, (now, limit))

    def lapsed(self, now: int, limit: int) -> list[JobHead]:
        return self._heads(SQL.expired_lease_heads, (now, limit))

    def expired(self, now: int, limit: int) -> list[JobHead]:
        return self._heads(SQL.expired_heads, (now, limit))

    def ended(self, state: JobState, before: int, limit: int) -> list[JobHead]:
        return self._heads(SQL.finished_heads, (STATE_CODES[state], before, limit))

    def _heads(self, statement: str, values: Row) -> list[JobHead]:
        return [to_head(row) for row in self._connection.execute(statement, values).fetchall()]


def find_jobs(connection: sqlite3.Connection, job_ids: Sequence[str]) -> list[JobRecord]:
    """Return the jobs that exist, in the order of `job_ids`, with their failures."""
    rows: list[Row] = connection.execute(
        SQL.records_by_id, (orjson.dumps(list(job_ids)).decode(),)
    ).fetchall()
    by_seq = {row[0]: to_record(row) for row in rows}
    _add_failures(connection, by_seq)
    by_id = {record.head.id: record for record in by_seq.values()}
    return [by_id[job_id] for job_id in dict.fromkeys(job_ids) if job_id in by_id]


def _add_failures(connection: sqlite3.Connection, by_seq: dict[int, JobRecord]) -> None:
    values = orjson.dumps(list(by_seq)).decode(), MAX_FAILURES
    rows = connection.execute(SQL.failures_by_seq, values)
    for row in rows:
        by_seq[row[0]].failures.append(to_failure(row))


def sizes(connection: sqlite3.Connection, job_ids: Sequence[str]) -> dict[str, int]:
    """Return the bytes of documents and errors of the jobs that exist, by id."""
    values = MAX_FAILURES, orjson.dumps(list(job_ids)).decode()
    rows = connection.execute(SQL.sizes_by_id, values)
    return dict(rows.fetchall())


def find_job(connection: sqlite3.Connection, job_id: str) -> JobRecord | None:
    """Return a job with its failures and events; None if it does not exist."""
    records = find_jobs(connection, [job_id])
    if not records:
        return None
    (record,) = records
    rows = connection.execute(SQL.events_of_job, (record.head.seq, job_id, MAX_TIMELINE))
    record.events = [to_event(row) for row in rows]
    return record


def last_seq(connection: sqlite3.Connection) -> int:
    """Return the highest seq of all stored jobs; 0 if there are none."""
    (last,) = fetch_one(connection, SQL.last_seq)
    return int(last)


def tags_of(connection: sqlite3.Connection, job_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the tags of the existing jobs that have some, by id."""
    rows = connection.execute(SQL.tags_of_jobs, (orjson.dumps(list(job_ids)).decode(),))
    return {job_id: orjson.loads(tags) for job_id, tags in rows}
