"""Moving jobs by rule."""

from collections.abc import Sequence

from corvo_schema.errors import ErrorCode
from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.records import Change, JobHead, Outcome, Refusal, Removal, Transition


def prefetch(prefetch: Prefetch, requests: list[Sequence[Transition]]) -> None:
    """The jobs that will be moved."""
    prefetch.ids.update(item.job_id for request in requests for item in request)


def transition(tx: Transaction, requests: list[Sequence[Transition]]) -> list[list[Outcome]]:
    """Move every job as its rule decides; several for one job see each other's effect, in order."""
    heads = tx.tables.jobs.heads({item.job_id for request in requests for item in request})
    changes: list[Change] = []
    answers = [[_move(tx, item, heads, changes) for item in request] for request in requests]
    tx.write(changes)
    return answers


def _move(
    tx: Transaction, item: Transition, heads: dict[str, JobHead], changes: list[Change]
) -> Outcome:
    head = heads.get(item.job_id)
    if head is None:
        return Refusal(ErrorCode.NOT_FOUND, f"There is no job {item.job_id}.")
    outcome = item.decide(head)
    if isinstance(outcome, Change):
        refusal = _relock(tx, head, outcome)
        if refusal is not None:
            return refusal
        tx.record(head, outcome)
        heads[item.job_id] = outcome.job
        changes.append(outcome)
    elif isinstance(outcome, Removal):
        tx.write(changes)  # what was decided on the job before must not come after its end
        changes.clear()
        tx.remove([head], outcome.event, outcome.at)
        del heads[item.job_id]
    return outcome


def _relock(tx: Transaction, before: JobHead, change: Change) -> Refusal | None:
    """Take the unique lock that a job needs to live again or in another queue."""
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
