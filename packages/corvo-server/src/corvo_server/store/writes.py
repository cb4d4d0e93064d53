"""The half of a store that is the same on every engine: what is submitted to its writer."""

import secrets
from asyncio import Future
from collections.abc import Callable, Sequence

from corvo_server.store.bulk import BulkEdit, BulkOutcome, BulkRecord, BulkStep
from corvo_server.store.records import (
    Claim,
    Commit,
    Enqueue,
    Enqueued,
    LeasedJob,
    Maintain,
    Outcome,
    Prune,
    QueueSetting,
    Refusal,
    Transition,
)
from corvo_server.store.schedules import DueSchedules, EditOutcome, ScheduleEdit, ScheduleOutcome
from corvo_server.store.verbs import verbs
from corvo_server.store.writer import Writer


class Writes:
    """Implements the writes of `store.protocol.Store`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._enqueue_listeners: list[Callable[[Enqueue], None]] = []
        self.node_id = f"node_{secrets.token_hex(8)}"

    @property
    def backlog(self) -> int:
        return self._writer.backlog

    def on_enqueue(self, listener: Callable[[Enqueue], None]) -> None:
        self._enqueue_listeners.append(listener)

    def on_commit(self, listener: Callable[[Commit], None]) -> None:
        self._writer.on_commit(listener)

    def enqueue(self, request: Enqueue) -> Future[list[Enqueued] | Refusal]:
        with self._writer.together():
            answer: Future[list[Enqueued] | Refusal] = self._writer.submit(verbs.ENQUEUE, request)
            for listener in self._enqueue_listeners:
                listener(request)
        return answer

    def transition(self, requests: Sequence[Transition]) -> Future[list[Outcome]]:
        return self._writer.submit(verbs.TRANSITION, requests)

    def fetch(self, claim: Claim) -> Future[list[LeasedJob]]:
        return self._writer.submit(verbs.FETCH, claim)

    def promote(self, chunk: Maintain) -> Future[int]:
        return self._writer.submit(verbs.PROMOTE, chunk)

    def reclaim(self, chunk: Maintain) -> Future[int]:
        return self._writer.submit(verbs.RECLAIM, chunk)

    def expire(self, chunk: Maintain) -> Future[int]:
        return self._writer.submit(verbs.EXPIRE, chunk)

    def prune(self, limits: Prune) -> Future[int]:
        return self._writer.submit(verbs.PRUNE, limits)

    def configure_queue(self, setting: QueueSetting) -> Future[None]:
        return self._writer.submit(verbs.CONFIGURE_QUEUE, setting)

    def drop_queue(self, name: str) -> Future[bool]:
        return self._writer.submit(verbs.DROP_QUEUE, name)

    def edit_schedule(self, edit: ScheduleEdit) -> Future[EditOutcome]:
        return self._writer.submit(verbs.EDIT_SCHEDULE, edit)

    def run_schedules(self, due: DueSchedules) -> Future[list[ScheduleOutcome]]:
        return self._writer.submit(verbs.RUN_SCHEDULES, due)

    def edit_bulk(self, edit: BulkEdit) -> Future[BulkOutcome]:
        return self._writer.submit(verbs.EDIT_BULK, edit)

    def step_bulk(self, step: BulkStep) -> Future[BulkRecord | None]:
        return self._writer.submit(verbs.STEP_BULK, step)
