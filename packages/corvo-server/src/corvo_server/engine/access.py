"""What the caller of a request may see and use: the queues in the scope of its API key.

A call that would create what it names, on a queue outside the scope, is forbidden. Anything else
outside the scope does not exist for the caller.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import orjson
from msgspec.structs import replace

from corvo_schema.errors import ErrorCode
from corvo_schema.states import EventType
from corvo_schema.webhooks import DELIVERY_QUEUES, is_delivery_queue
from corvo_server.auth.caller import SERVER, caller
from corvo_server.auth.scope import Scope
from corvo_server.engine import lifecycle
from corvo_server.engine.errors import CallError
from corvo_server.store.protocol import Store
from corvo_server.store.records import Decide, Event, JobHead, JobRecord, Outcome, unknown_job
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


def check_queues(queues: Sequence[str], field: str) -> None:
    """Raise `CallError` if the caller may not use one of `queues`.

    `field` is the path of one of them in the request, with `{}` for its index.
    """
    who = caller()
    if who is SERVER:
        return
    scope = who.scope
    for i, queue in enumerate(queues):
        if is_delivery_queue(queue) or (scope is not None and queue not in scope):
            check_queue(queue, field.format(i))


def scope_of_caller() -> Scope | None:
    """Return the queues that the caller sees; None for all."""
    return caller().scope


def seen_queues() -> Callable[[str], bool] | None:
    """Return whether a queue exists for the caller, as a function; None if all do."""
    scope = caller().scope
    return None if scope is None else scope.__contains__


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
    return if_within(caller().scope, decide)


def if_within(scope: Scope | None, decide: Decide) -> Decide:
    """Return a rule that treats jobs outside `scope` as unknown."""
    return decide if scope is None else partial(_decide_if_seen, decide=decide, scope=scope)


def seen_jobs(records: Iterable[JobRecord]) -> list[JobRecord]:
    """Return the jobs that the caller sees, without events of other queues."""
    scope = caller().scope
    if scope is None:
        return [*records]
    return [_seen_part(record, scope) for record in records if record.head.queue in scope]


def seen_event(event: Event, scope: Scope) -> Event | None:
    """Return what an event tells about the queues in `scope`; None if it is of another queue.

    A job that was moved out of another queue does not tell from which.
    """
    if event.queue not in scope:
        return None
    if event.type is EventType.MOVED and event.data is not None:
        reason = orjson.loads(event.data).get("reason", "")
        if reason.removeprefix(lifecycle.MOVED_FROM) not in scope:
            return replace(event, data=None)
    return event


async def within(scope: Scope | None, wanted: JobFilter, store: Store) -> JobFilter:
    """Return the filter, limited to the queues in `scope`."""
    if scope is None or (wanted.queue is not None and wanted.queue in scope):
        return wanted
    if wanted.queue is not None:
        return replace(wanted, queues=frozenset())
    records = await store.list_queues()
    return replace(wanted, queues=frozenset(r.name for r in records if r.name in scope))


def _decide_if_seen(job: JobHead, decide: Decide, scope: Scope) -> Outcome:
    return decide(job) if job.queue in scope else unknown_job(job.id)


def _seen_part(record: JobRecord, scope: Scope) -> JobRecord:
    found = (seen_event(event, scope) for event in record.events)
    return replace(record, events=[event for event in found if event is not None])


def _reserved(queue: str, field: str) -> CallError:
    expected = "must not be a queue of the deliveries of webhooks, which the server itself uses"
    return CallError(
        ErrorCode.FORBIDDEN,
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
