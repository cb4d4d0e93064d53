"""The transition verb: moves jobs as their rules decide."""

from collections.abc import Sequence

from corvo_schema.errors import ErrorCode
from corvo_server.store.commit.audit import entries_of_jobs
from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.records import (
    Change,
    JobAction,
    JobHead,
    Outcome,
    Refusal,
    Removal,
    Transition,
    unknown_job,
)
from corvo_server.store.sizes import MEMORY_OF_ITEM


def prefetch(prefetch: Prefetch, requests: list[Sequence[Transition]]) -> None:
    """Add the ids of the jobs to move to `prefetch`."""
    prefetch.ids.update(item.job_id for request in requests for item in request)


def memory(request: Sequence[Transition]) -> int:
    """Return the bytes of memory that the requests take."""
    return sum([MEMORY_OF_ITEM + item.memory for item in request])


def transition(tx: Transaction, requests: list[Sequence[Transition]]) -> list[list[Outcome]]:
    """Move each job as its rule decides. Return the outcomes of each request.

    Requests run in order: a later one for the same job sees the effects of earlier ones.
    """
    heads = tx.tables.jobs.heads({item.job_id for request in requests for item in request})
    changes: list[Change] = []
    answers = [[_move(tx, item, heads, changes) for item in request] for request in requests]
    tx.write(changes)
    return answers


def prefetch_actions(prefetch: Prefetch, actions: list[JobAction]) -> None:
    """Add the ids of the jobs to move to `prefetch`."""
    prefetch.ids.update(item.job_id for action in actions for item in action.transitions)


def memory_of_action(action: JobAction) -> int:
    """Return the bytes of memory that an action takes."""
    return memory(action.transitions)


def act(tx: Transaction, actions: list[JobAction]) -> list[list[Outcome]]:
    """Move jobs like `transition`, and add what each action did to the audit log."""
    items = [item for action in actions for item in action.transitions]
    heads = tx.tables.jobs.heads({item.job_id for item in items})
    changes: list[Change] = []
    answers = []
    for action in actions:
        before = {item.job_id: heads.get(item.job_id) for item in action.transitions}
        outcomes = [_move(tx, item, heads, changes) for item in action.transitions]
        for entry in entries_of_jobs(action, before, outcomes):
            tx.audit(entry)
        answers.append(outcomes)
    tx.write(changes)
    return answers


def _move(
    tx: Transaction, item: Transition, heads: dict[str, JobHead], changes: list[Change]
) -> Outcome:
    head = heads.get(item.job_id)
    if head is None:
        return unknown_job(item.job_id)
    outcome = item.decide(head)
    if isinstance(outcome, Change):
        refusal = _relock(tx, head, outcome)
        if refusal is not None:
            return refusal
        tx.record(head, outcome, item.actor)
        heads[item.job_id] = outcome.job
        changes.append(outcome)
    elif isinstance(outcome, Removal):
        tx.write(changes)  # earlier changes of this job must be written before its deletion
        changes.clear()
        tx.remove([head], outcome.event, outcome.at, actor=item.actor)
        del heads[item.job_id]
    return outcome


def _relock(tx: Transaction, before: JobHead, change: Change) -> Refusal | None:
    """Take the unique lock of a job that becomes unfinished again or changes its queue.

    Return a refusal if another job holds the unique key, None otherwise.
    """
    after = change.job
    if after.unique_key is None or after.state.is_finished:
        return None
    if not before.state.is_finished and before.queue == after.queue:
        return None
    locks = tx.tables.locks
    holder = locks.holder(after.queue, after.unique_key, change.at)
    if holder is not None and holder != after.id:
        return Refusal(
            ErrorCode.INVALID_STATE,
            f"Job {after.id} is {before.state.value} and cannot be {after.state.value} in "
            f"{after.queue}: the unique key {after.unique_key!r} is held by {holder}.",
            before.state,
        )
    locks.free(before)
    locks.take(after, change.at)
    return None
