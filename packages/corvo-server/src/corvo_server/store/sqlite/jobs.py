"""Jobs: moving them by rule, reading them in full."""

import sqlite3
from collections.abc import Sequence

import orjson

from corvo_schema.errors import ErrorCode
from corvo_server.store.records import (
    Change,
    JobHead,
    JobRecord,
    Outcome,
    Refusal,
    Removal,
    Transition,
)
from corvo_server.store.sqlite.rows import (
    SQL,
    Row,
    fetch_one,
    to_event,
    to_failure,
    to_head,
    to_record,
)
from corvo_server.store.sqlite.transaction import Transaction


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
    holder = tx.lock_holder(after.queue, after.unique_key, change.at)
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


def last_seq(connection: sqlite3.Connection) -> int:
    """The seq of the job that was enqueued last; 0 before the first."""
    (last,) = fetch_one(connection, SQL.last_seq)
    return int(last)
