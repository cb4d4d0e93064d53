"""What the caller of a request may see and use: the queues in the scope of its API key.

A call that would create what it names, on a queue outside the scope, is forbidden. Anything else
outside the scope does not exist for the caller.
"""

from collections.abc import Iterable, Mapping
from functools import partial

from msgspec.structs import replace

from corvo_schema.errors import ErrorCode
from corvo_schema.webhooks import DELIVERY_QUEUES, is_delivery_queue
from corvo_server.auth.caller import SERVER, caller
from corvo_server.auth.scope import Scope
from corvo_server.engine.errors import CallError
from corvo_server.store.protocol import Store
from corvo_server.store.records import Decide, JobHead, JobRecord, Outcome, unknown_job
from corvo_server.store.search.filters import JobFilter


def check_queue(queue: str, field: str) -> None:
    """Raise `CallError` if the caller may not use a queue. `field` is its path in the request.

    Only the server itself may enqueue deliveries of webhooks and fetch them.
    """
    if not is_open(queue):
        who = caller()
        raise _reserved(queue, field) if who.sees(queue) else _forbidden(who.name, queue, field)


def is_open(queue: str) -> bool:
    """Return whether `check_queue` lets the caller use a queue."""
    who = caller()
    return who.sees(queue) and (who is SERVER or not is_delivery_queue(queue))


def check_queues(queues: Mapping[str, str]) -> None:
    """Raise `CallError` if the caller may not use one of `queues`, which are by field."""
    for field, queue in queues.items():
        check_queue(queue, field)


def check_steered(queue: str, field: str) -> None:
    """Raise `CallError` if the caller may not pause or slow a queue. Deliveries may be paused."""
    who = caller()
    if not who.sees(queue):
        raise _forbidden(who.name, queue, field)


def is_seen(queue: str) -> bool:
    """Return whether a queue exists for the caller."""
    return caller().sees(queue)


def if_seen(decide: Decide) -> Decide:
    """Return a rule that treats jobs which the caller does not see as unknown."""
    scope = caller().scope
    return decide if scope is None else partial(_decide_if_seen, decide=decide, scope=scope)


def seen_jobs(records: Iterable[JobRecord]) -> list[JobRecord]:
    """Return the jobs that the caller sees, without events of other queues."""
    scope = caller().scope
    if scope is None:
        return [*records]
    return [_seen_part(record, scope) for record in records if record.head.queue in scope]


async def within_scope(wanted: JobFilter, store: Store) -> JobFilter:
    """Return the filter, limited to the queues that the caller sees."""
    scope = caller().scope
    if scope is None or (wanted.queue is not None and wanted.queue in scope):
        return wanted
    if wanted.queue is not None:
        return replace(wanted, queues=frozenset())
    records = await store.list_queues()
    return replace(wanted, queues=frozenset(r.name for r in records if r.name in scope))


def _decide_if_seen(job: JobHead, decide: Decide, scope: Scope) -> Outcome:
    return decide(job) if job.queue in scope else unknown_job(job.id)


def _seen_part(record: JobRecord, scope: Scope) -> JobRecord:
    events = [event for event in record.events if event.queue in scope]
    return record if len(events) == len(record.events) else replace(record, events=events)


def _reserved(queue: str, field: str) -> CallError:
    expected = "must not be a queue of the deliveries of webhooks, which the server itself uses"
    return CallError(
        ErrorCode.VALIDATION_ERROR,
        f"{field} {expected}: {queue!r}. Choose a name that does not begin with {DELIVERY_QUEUES}",
        [(field, expected)],
    )


def _forbidden(name: str, queue: str, field: str) -> CallError:
    reason = "is not a queue of this API key"
    return CallError(
        ErrorCode.FORBIDDEN,
        f"{field}: the API key {name!r} may not use the queue {queue!r}. `corvo keys status` shows "
        "the queues of your key.",
        [(field, reason)],
    )
