"""Verbs on queues."""

from functools import partial

from corvo_schema import MAX_SCHEMA_BYTES, BulkStatus, JobOptions
from corvo_schema.audit import AuditOperation
from corvo_schema.errors import ErrorCode
from corvo_schema.nesting import is_too_deep, too_deep
from corvo_server.auth.caller import caller
from corvo_server.engine import emptying
from corvo_server.engine.access import check_queue, check_steered, is_seen
from corvo_server.engine.audit import audited
from corvo_server.engine.bulk import AT_ONCE, Bulk
from corvo_server.engine.clock import Clock
from corvo_server.engine.errors import CallError, not_found
from corvo_server.engine.options import options_of
from corvo_server.engine.verbs import Part, verb
from corvo_server.store import options as stored
from corvo_server.store.bulk import CLEAR_QUEUE, DELETE_QUEUE, BulkRecord
from corvo_server.store.emptying import EmptyQueue
from corvo_server.store.options import write_options
from corvo_server.store.protocol import Store
from corvo_server.store.queues import (
    LimitKeys,
    LimitQueue,
    PauseQueue,
    QueueRecord,
    QueueSetting,
    SetDefaults,
    ThrottleQueue,
)
from corvo_server.store.records import Refusal, Transition


class Queues(Part):
    """Verbs on queues."""

    def __init__(self, store: Store, clock: Clock, bulk: Bulk) -> None:
        self._store = store
        self._clock = clock
        self._bulk = bulk

    @verb
    async def list(self) -> list[QueueRecord]:
        """Return all queues by name, with their settings and counts."""
        return [record for record in await self._store.list_queues() if is_seen(record.name)]

    @verb
    async def get(self, name: str) -> QueueRecord:
        """Return a queue with its settings and counts. Raise `CallError` if it does not exist."""
        record = await self._store.find_queue(name) if is_seen(name) else None
        if record is None:
            raise not_found(f"queue {name!r}; its first job or setting creates a queue")
        return record

    @verb
    async def pause(self, name: str) -> None:
        """Stop fetches from the queue. Jobs can still be enqueued."""
        setting = PauseQueue(name, self._clock(), is_paused=True)
        await self._configure(AuditOperation.PAUSE_QUEUE, setting)

    @verb
    async def resume(self, name: str) -> None:
        """Allow fetches from the queue again. Waiting fetches get its jobs at once."""
        setting = PauseQueue(name, self._clock(), is_paused=False)
        await self._configure(AuditOperation.RESUME_QUEUE, setting)

    @verb
    async def drain(self, name: str) -> None:
        """Pause the queue and mark it as draining. Active jobs finish; `resume` ends both."""
        setting = PauseQueue(name, self._clock(), is_paused=True, is_draining=True)
        await self._configure(AuditOperation.DRAIN_QUEUE, setting)

    @verb
    async def limit(self, name: str, max_concurrency: int | None) -> None:
        """Limit the number of active jobs of the queue; None removes the limit."""
        setting = LimitQueue(name, self._clock(), max_concurrency)
        await self._configure(AuditOperation.LIMIT_QUEUE, setting)

    @verb
    async def limit_keys(self, name: str, max_per_key: int | None) -> None:
        """Limit the number of active jobs per concurrency key; None removes the limit."""
        setting = LimitKeys(name, self._clock(), max_per_key)
        await self._configure(AuditOperation.LIMIT_QUEUE, setting)

    @verb
    async def limit_both(
        self, name: str, max_concurrency: int | None, max_per_key: int | None
    ) -> None:
        """Set the limits of `limit` and `limit_keys` in one change."""
        now = self._clock()
        await self._configure(
            AuditOperation.LIMIT_QUEUE,
            LimitQueue(name, now, max_concurrency),
            LimitKeys(name, now, max_per_key),
        )

    @verb
    async def throttle(self, name: str, rate: int | None, window: int | None) -> None:
        """Limit starts to `rate` jobs in any `window` ms. None for both removes the limit."""
        is_removal = rate is None and window is None
        operation = AuditOperation.UNTHROTTLE_QUEUE if is_removal else AuditOperation.THROTTLE_QUEUE
        await self._configure(operation, ThrottleQueue(name, self._clock(), rate, window))

    @verb
    async def set_defaults(self, name: str, request: JobOptions, schema: bytes | None) -> None:
        """Replace the defaults of the queue's jobs. `schema` is JSON text, which is only stored.

        Jobs that are enqueued afterwards, on any server, get them for the options that they leave
        out. A request without any option or schema removes the defaults.
        """
        if schema is not None and len(schema) > MAX_SCHEMA_BYTES:
            raise CallError(
                ErrorCode.PAYLOAD_TOO_LARGE,
                f"payload_schema has {len(schema)} bytes; the limit is {MAX_SCHEMA_BYTES}. Give a "
                "schema that describes less, or none.",
                [("payload_schema", f"at most {MAX_SCHEMA_BYTES} bytes of JSON")],
            )
        if schema is not None and is_too_deep(schema):
            expected = too_deep()
            message = f"payload_schema: {expected}"
            raise CallError(ErrorCode.VALIDATION_ERROR, message, [("payload_schema", expected)])
        options = options_of(request)
        text = None if options == stored.JobOptions() else write_options(options)
        setting = SetDefaults(
            name, self._clock(), text, None if schema is None else schema.decode()
        )
        is_removal = text is None and schema is None
        operation = AuditOperation.CLEAR_DEFAULTS if is_removal else AuditOperation.SET_DEFAULTS
        await self._configure(operation, setting)

    @verb
    async def clear(self, name: str) -> int | BulkRecord:
        """Delete the pending and scheduled jobs of the queue. Return their number.

        Return the bulk operation that deletes them if it does not end soon. No fetch starts one of
        the jobs meanwhile.
        """
        return await self._empty(await self.get(name), AuditOperation.CLEAR_QUEUE, CLEAR_QUEUE)

    @verb
    async def delete(self, name: str) -> int | BulkRecord:
        """Delete the queue with all its jobs and settings. Return as `clear` does.

        Jobs that are enqueued after the call has begun stay, and the queue for them, without its
        settings. Raise `CallError` if jobs are active.
        """
        record = await self.get(name)
        check_queue(name, "name")
        return await self._empty(record, AuditOperation.DELETE_QUEUE, DELETE_QUEUE)

    async def _empty(
        self, queue: QueueRecord, operation: AuditOperation, action: str
    ) -> int | BulkRecord:
        name, now = queue.name, self._clock()
        check = partial(emptying.check, action=action, queue=name)
        request = emptying.request_of(action, name)
        last_seq = await self._store.last_seq()
        wanted = emptying.filter_of(action, name)
        found = await self._store.matching_ids(wanted, 0, AT_ONCE + 1)
        audit = audited(operation, now, target=name, queue=name)
        empty = partial(EmptyQueue, name, action == DELETE_QUEUE, now, check, audit=audit)
        if len(found) <= AT_ONCE:
            rule, actor = emptying.rule_of(action, name, now), caller().actor
            outcome = await self._store.empty_queue(
                empty(transitions=[Transition(job_id, rule, actor=actor) for _, job_id in found])
            )
        else:
            total = emptying.count_jobs(action, queue)
            record = self._bulk.new_record(request, total, last_seq, action)
            outcome = await self._store.empty_queue(empty(operation=record))
        if isinstance(outcome, Refusal):
            raise CallError.of(outcome)
        if isinstance(outcome, int):
            return outcome
        ended = await self._bulk.wait_for_end(outcome)
        return ended.affected if ended.status is BulkStatus.COMPLETED else ended

    async def _configure(self, operation: AuditOperation, *settings: QueueSetting) -> None:
        """Store settings of one queue."""
        queue = settings[0].queue
        for setting in settings:
            if isinstance(setting, PauseQueue | ThrottleQueue):
                check_steered(queue, "name")
            else:
                check_queue(queue, "name")
        audit = audited(operation, settings[0].now, target=queue, queue=queue)
        await self._store.configure_queue(*settings, audit=audit)

    def age_of_oldest(self, record: QueueRecord) -> int | None:
        """Return the waiting time of the oldest pending job in ms; None if none is pending."""
        if record.oldest_pending_at is None:
            return None
        return max(0, self._clock() - record.oldest_pending_at)
