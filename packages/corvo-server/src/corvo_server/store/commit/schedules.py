"""The verbs of schedules: edit schedules, and run those that are due. Rules decide both."""

from collections.abc import Sequence

from corvo_schema.errors import ErrorCode
from corvo_server.store.commit.audit import entry_of_schedule
from corvo_server.store.commit.enqueue import enqueue
from corvo_server.store.commit.transaction import Transaction, no_room
from corvo_server.store.records import Enqueue, Refusal
from corvo_server.store.schedules import (
    DueSchedules,
    EditOutcome,
    ScheduleChange,
    ScheduleEdit,
    ScheduleOutcome,
    ScheduleRecord,
)

_Decided = tuple[ScheduleRecord | None, ScheduleChange]


def edit(tx: Transaction, edits: list[ScheduleEdit]) -> list[EditOutcome]:
    """Change each schedule as its rule decides. A later edit sees the effects of earlier ones."""
    return [_edit(tx, request) for request in edits]


def _edit(tx: Transaction, request: ScheduleEdit) -> EditOutcome:
    before = tx.tables.schedules.find(request.reference, by_id=request.by_id)
    outcome = _change(tx, request, before)
    if request.audit is not None:
        entry = entry_of_schedule(request.audit, before, outcome)
        if entry is not None:
            tx.audit(entry)
    return outcome


def _change(tx: Transaction, request: ScheduleEdit, before: ScheduleRecord | None) -> EditOutcome:
    change = request.decide(before)
    if isinstance(change, Refusal):
        return change
    if change.after is not None:
        if before is None and tx.room <= 0:
            return no_room()
        namesake = tx.tables.schedules.find(change.after.name, by_id=False)
        if namesake is not None and namesake.id != change.after.id:
            return Refusal(
                ErrorCode.INVALID_STATE,
                f"The name {namesake.name!r} belongs to another schedule. Choose another name.",
            )
    (outcome,) = _apply(tx, [(before, change)])
    return outcome


def run_due(tx: Transaction, chunks: list[DueSchedules]) -> list[list[ScheduleOutcome]]:
    """Run the due schedules of each chunk. A later chunk sees the effects of earlier ones."""
    return [_run_due(tx, chunk) for chunk in chunks]


def _run_due(tx: Transaction, chunk: DueSchedules) -> list[ScheduleOutcome]:
    due = tx.tables.schedules.due(chunk.now, chunk.limit)
    return _apply(tx, [(before, chunk.decide(before)) for before in due])


def _apply(tx: Transaction, decided: Sequence[_Decided]) -> list[ScheduleOutcome]:
    """Enqueue the jobs of the changes, then store the schedules. Return one outcome per change."""
    jobs = [Enqueue((change.job,)) for _, change in decided if change.job is not None]
    answers = iter(enqueue(tx, jobs, are_announced=False))
    outcomes = []
    for before, change in decided:
        after, enqueued = change.after, None
        if change.job is not None:
            answer = next(answers)
            if isinstance(answer, Refusal) and answer.code is ErrorCode.STORAGE_FULL:
                outcomes.append(ScheduleOutcome(before, before, refusal=answer))
                continue
            enqueued = None if isinstance(answer, Refusal) else answer[0]
            if enqueued is None or enqueued.is_duplicate:
                after = change.if_duplicate or after
        _save(tx, before, after)
        outcomes.append(ScheduleOutcome(before, after, enqueued))
    return outcomes


def _save(tx: Transaction, before: ScheduleRecord | None, after: ScheduleRecord | None) -> None:
    if after is not None:
        tx.tables.schedules.save(after)
        if not after.is_paused:
            tx.await_occurrence(after.next_run)
    elif before is not None:
        tx.tables.schedules.remove(before.id)
