"""The writes of a store, the same on every engine. Each submits one operation to the writer."""

import secrets
from asyncio import Future
from collections.abc import Callable, Sequence
from operator import attrgetter

from corvo_server.store.audit import Audit
from corvo_server.store.bulk import BulkEdit, BulkOutcome, BulkRecord, BulkStep
from corvo_server.store.commit import (
    bulk,
    clock,
    emptying,
    enqueue,
    fetch,
    keys,
    maintenance,
    queues,
    schedules,
    transition,
    webhooks,
)
from corvo_server.store.commit.session import Verb
from corvo_server.store.commit.writer import Writer
from corvo_server.store.emptying import EmptyOutcome, EmptyQueue
from corvo_server.store.keys import KeyChange, KeyEdit, KeyUse
from corvo_server.store.queues import ConfigureQueue, QueueSetting
from corvo_server.store.records import (
    Claim,
    Commit,
    Enqueue,
    Enqueued,
    JobAction,
    LeasedJob,
    Maintain,
    Outcome,
    Prune,
    Refusal,
    Transition,
)
from corvo_server.store.schedules import DueSchedules, EditOutcome, ScheduleEdit, ScheduleOutcome
from corvo_server.store.webhooks import Deliveries, HookChange, HookEdit, R

_MEMORY = attrgetter("memory")

# Ranks order the verbs within a commit. Enqueues come first and fetches last, so that a fetch can
# start a job that was enqueued in the same commit.
ENQUEUE = Verb(0, enqueue.enqueue, enqueue.prefetch, enqueue.memory, is_new_work=True)
TRANSITION = Verb(1, transition.transition, transition.prefetch, transition.memory)
PROMOTE = Verb(2, maintenance.promote)
RECLAIM = Verb(3, maintenance.reclaim)
EXPIRE = Verb(4, maintenance.expire)
PRUNE = Verb(5, maintenance.prune)
CONFIGURE_QUEUE = Verb(6, queues.configure, memory=queues.memory, is_new_work=True)
ACT = Verb(7, transition.act, transition.prefetch_actions, transition.memory_of_action)
EDIT_SCHEDULE = Verb(8, schedules.edit, memory=_MEMORY, is_new_work=True)
RUN_SCHEDULES = Verb(9, schedules.run_due)
EMPTY_QUEUE = Verb(10, emptying.empty, emptying.prefetch, is_new_work=True)
EDIT_BULK = Verb(20, bulk.edit, memory=_MEMORY, is_new_work=True)
STEP_BULK = Verb(21, bulk.step, bulk.prefetch)
TOUCH = Verb(30, queues.touch)
SET_WALL_OFFSET = Verb(31, clock.set_wall_offset)
EDIT_KEYS = Verb(32, keys.edit)
NOTE_KEY_USES = Verb(33, keys.note_uses)
EDIT_WEBHOOK = Verb(34, webhooks.edit, is_new_work=True)
DELIVER = Verb(35, webhooks.deliver, webhooks.prefetch, webhooks.memory)
FETCH = Verb(100, fetch.fetch, fetch.prefetch, is_new_work=True)


class Writes:
    """Implements the writes of `store.protocol.Store`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._enqueue_listeners: list[Callable[[Enqueue], None]] = []
        self.node_id = f"node_{secrets.token_hex(8)}"

    @property
    def backlog(self) -> int:
        return self._writer.backlog.operations

    @property
    def backlog_bytes(self) -> int:
        return self._writer.backlog.bytes

    @property
    def failure(self) -> str | None:
        return self._writer.failure

    async def set_wall_offset(self, expected: int, offset: int) -> bool:
        is_set: bool = await self._writer.submit(SET_WALL_OFFSET, (expected, offset))
        return is_set

    def touch(self) -> Future[None]:
        return self._writer.submit(TOUCH, None)

    def on_enqueue(self, listener: Callable[[Enqueue], None]) -> None:
        self._enqueue_listeners.append(listener)

    def on_commit(self, listener: Callable[[Commit], None]) -> None:
        self._writer.on_commit(listener)

    def enqueue(self, request: Enqueue) -> Future[list[Enqueued] | Refusal]:
        with self._writer.together():
            answer: Future[list[Enqueued] | Refusal] = self._writer.submit(ENQUEUE, request)
            for listener in self._enqueue_listeners:
                listener(request)
        return answer

    def transition(self, requests: Sequence[Transition]) -> Future[list[Outcome]]:
        return self._writer.submit(TRANSITION, requests)

    def act(self, action: JobAction) -> Future[list[Outcome]]:
        return self._writer.submit(ACT, action)

    def fetch(self, claim: Claim) -> Future[list[LeasedJob]]:
        return self._writer.submit(FETCH, claim)

    def promote(self, chunk: Maintain) -> Future[int]:
        return self._writer.submit(PROMOTE, chunk)

    def reclaim(self, chunk: Maintain) -> Future[int]:
        return self._writer.submit(RECLAIM, chunk)

    def expire(self, chunk: Maintain) -> Future[int]:
        return self._writer.submit(EXPIRE, chunk)

    def prune(self, limits: Prune) -> Future[int]:
        return self._writer.submit(PRUNE, limits)

    def configure_queue(self, *settings: QueueSetting, audit: Audit | None = None) -> Future[None]:
        return self._writer.submit(CONFIGURE_QUEUE, ConfigureQueue(settings, audit))

    def empty_queue(self, request: EmptyQueue) -> Future[EmptyOutcome]:
        return self._writer.submit(EMPTY_QUEUE, request)

    def edit_schedule(self, edit: ScheduleEdit) -> Future[EditOutcome]:
        return self._writer.submit(EDIT_SCHEDULE, edit)

    def run_schedules(self, due: DueSchedules) -> Future[list[ScheduleOutcome]]:
        return self._writer.submit(RUN_SCHEDULES, due)

    def edit_bulk(self, edit: BulkEdit) -> Future[BulkOutcome]:
        return self._writer.submit(EDIT_BULK, edit)

    def step_bulk(self, step: BulkStep) -> Future[BulkRecord | None]:
        return self._writer.submit(STEP_BULK, step)

    def edit_keys(self, edit: KeyEdit) -> Future[KeyChange]:
        return self._writer.submit(EDIT_KEYS, edit)

    def note_key_uses(self, uses: Sequence[KeyUse]) -> Future[None]:
        return self._writer.submit(NOTE_KEY_USES, uses)

    def edit_webhook(self, edit: HookEdit[R]) -> Future[HookChange[R] | Refusal]:
        return self._writer.submit(EDIT_WEBHOOK, edit)

    def deliver(self, deliveries: Deliveries) -> Future[bool | Refusal]:
        return self._writer.submit(DELIVER, deliveries)
