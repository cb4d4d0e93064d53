"""Jobs: storing new ones, moving them by rule, reading them in full."""

import sqlite3
from collections.abc import Sequence

import orjson

from corvo_schema.errors import ErrorCode
from corvo_server.store.records import (
    Change,
    Enqueue,
    Enqueued,
    JobHead,
    JobRecord,
    NewBatch,
    NewJob,
    Outcome,
    Refusal,
    Removal,
    Transition,
)
from corvo_server.store.sqlite.rows import (
    SQL,
    Row,
    state_word,
    to_event,
    to_failure,
    to_head,
    to_record,
)
from corvo_server.store.sqlite.transaction import Transaction


def enqueue(tx: Transaction, requests: list[Enqueue]) -> list[list[Enqueued]]:
    """Store the jobs of all requests; a job whose id or unique key is there already is reported."""
    known = _known_ids(tx, requests)
    fresh: list[NewJob] = []
    locks: dict[tuple[str, str], str] = {}
    answers = []
    for request in requests:
        stored = len(fresh)
        answers.append([_enqueue_one(tx, job, known, locks, fresh) for job in request.jobs])
        if request.batch is not None:
            _insert_batch(tx, request.batch, len(fresh) - stored)
    tx.insert(fresh)
    return answers


def _known_ids(tx: Transaction, requests: list[Enqueue]) -> dict[str, str]:
    """State by id of the jobs that a client sent before. Grows as this commit's jobs are added."""
    ids = [job.id for request in requests for job in request.jobs if job.is_id_from_client]
    if not ids:
        return {}
    rows = tx.connection.execute(SQL.states_by_id, (orjson.dumps(ids).decode(),))
    return {job_id: state_word(code).value for job_id, code in rows}


def _enqueue_one(
    tx: Transaction,
    job: NewJob,
    known: dict[str, str],
    locks: dict[tuple[str, str], str],
    fresh: list[NewJob],
) -> Enqueued:
    if job.is_id_from_client:
        status = known.get(job.id)
        if status is not None:
            return Enqueued(job.id, status, is_new=False)
        known[job.id] = job.state.value
    if job.unique_key is not None:
        key = (job.queue, job.unique_key)
        holder = locks.get(key) or _lock_holder(tx, key, job.created_at)
        if holder is not None:
            known.pop(job.id, None)
            return Enqueued(holder, "duplicate", is_new=False, is_duplicate=True)
        locks[key] = job.id
    fresh.append(job)
    return Enqueued(job.id, job.state.value)


def _lock_holder(tx: Transaction, key: tuple[str, str], now: int) -> str | None:
    """The id of the job that holds a unique key at `now`."""
    row = tx.connection.execute(SQL.find_lock, key).fetchone()
    if row is None or row[2] <= now:
        return None
    holder: str = row[0]
    return holder


def _insert_batch(tx: Transaction, batch: NewBatch, total: int) -> None:
    tx.connection.execute(
        SQL.insert_batch,
        (
            batch.id,
            total,
            batch.callback_queue,
            batch.callback_job_id,
            batch.callback_payload,
            batch.created_at,
        ),
    )
    if total == 0:
        tx.settle_batch(batch.id, batch.created_at)


def transition(tx: Transaction, requests: list[Sequence[Transition]]) -> list[list[Outcome]]:
    """Move every job as its rule decides; several for one job see each other's effect, in order."""
    ids = {item.job_id for request in requests for item in request}
    rows = tx.connection.execute(SQL.heads_by_id, (orjson.dumps(list(ids)).decode(),))
    heads = {head.id: head for head in map(to_head, rows)}
    changes: list[tuple[JobHead, Change]] = []
    answers = [[_move(tx, item, heads, changes) for item in request] for request in requests]
    tx.write(changes)
    return answers


def _move(
    tx: Transaction,
    item: Transition,
    heads: dict[str, JobHead],
    changes: list[tuple[JobHead, Change]],
) -> Outcome:
    head = heads.get(item.job_id)
    if head is None:
        return Refusal(ErrorCode.NOT_FOUND, f"There is no job {item.job_id}.")
    outcome = item.decide(head)
    if isinstance(outcome, Removal):
        tx.write(changes)  # what was decided on the job before must not come after its end
        changes.clear()
        tx.remove([head], outcome.event, outcome.at)
        del heads[item.job_id]
    elif isinstance(outcome, Change):
        refusal = _relock(tx, head, outcome)
        if refusal is not None:
            return refusal
        tx.record(head, outcome)
        heads[item.job_id] = outcome.job
        changes.append((head, outcome))
    return outcome


def _relock(tx: Transaction, before: JobHead, change: Change) -> Refusal | None:
    """Take the unique lock that a job needs to live again or in another queue."""
    after = change.job
    if after.unique_key is None or after.state.is_finished:
        return None
    if not before.state.is_finished and before.queue == after.queue:
        return None
    holder = _lock_holder(tx, (after.queue, after.unique_key), change.at)
    if holder is not None and holder != after.id:
        return Refusal(
            ErrorCode.INVALID_STATE,
            f"Job {after.id} is {before.state.value} and cannot be {after.state.value} in "
            f"{after.queue}: the unique key {after.unique_key!r} is held by {holder}.",
            before.state,
        )
    tx.free_lock(before)
    tx.take_lock(after, change.at)
    return None


def find_jobs(connection: sqlite3.Connection, job_ids: Sequence[str]) -> list[JobRecord]:
    """The jobs that exist, in the order asked for, with their failures."""
    rows: list[Row] = connection.execute(
        SQL.records_by_id, (orjson.dumps(list(job_ids)).decode(),)
    ).fetchall()
    by_seq = {row[0]: to_record(row) for row in rows}
    _add_failures(connection, by_seq)
    by_id = {record.head.id: record for record in by_seq.values()}
    return [by_id[job_id] for job_id in dict.fromkeys(job_ids) if job_id in by_id]


def _add_failures(connection: sqlite3.Connection, by_seq: dict[int, JobRecord]) -> None:
    rows = connection.execute(SQL.failures_by_seq, (orjson.dumps(list(by_seq)).decode(),))
    for row in rows:
        by_seq[row[0]].failures.append(to_failure(row))


def find_job(connection: sqlite3.Connection, job_id: str) -> JobRecord | None:
    """One job with its failures and its events."""
    records = find_jobs(connection, [job_id])
    if not records:
        return None
    (record,) = records
    rows = connection.execute(SQL.events_of_job, (record.head.seq, job_id))
    record.events = [to_event(row) for row in rows]
    return record
