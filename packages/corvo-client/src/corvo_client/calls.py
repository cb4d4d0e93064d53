"""Calls as values: the requests of the client methods.

`client.send(calls.get_job(job_id))` does the same as `client.get_job(job_id)`. With `exact`, it
also returns the body of the answer: `client.send(exact(calls.get_job(job_id)))`. Likewise
`client.follow(calls.follow_events())` does the same as `client.follow_events()`.
"""

from corvo_client._call import Call, Exact, exact
from corvo_client._calls.admin import cluster_status, healthz, info, list_workers, metrics, readyz
from corvo_client._calls.audit import list_audit
from corvo_client._calls.events import follow_events
from corvo_client._calls.jobs import (
    bulk_get,
    cancel_job,
    change_priority,
    delete_job,
    enqueue,
    enqueue_batch,
    enqueue_request,
    get_batch,
    get_job,
    list_batches,
    move_job,
    requeue_job,
    retry_job,
)
from corvo_client._calls.keys import (
    auth_status,
    create_key,
    list_keys,
    revoke_key,
    rotate_key,
)
from corvo_client._calls.queues import (
    clear_queue,
    clear_queue_defaults,
    delete_queue,
    drain_queue,
    get_queue,
    limit_queue,
    list_queues,
    pause_queue,
    resume_queue,
    set_queue_defaults,
    throttle_queue,
    unthrottle_queue,
)
from corvo_client._calls.schedules import (
    delete_schedule,
    get_schedule,
    list_schedules,
    pause_schedule,
    put_schedule,
    replace_schedule,
    resume_schedule,
    run_schedule,
    schedule_request,
)
from corvo_client._calls.search import (
    bulk,
    cancel_bulk,
    follow_bulk,
    get_bulk,
    list_bulk,
    search,
)
from corvo_client._stream import Stream, exact_stream

__all__ = [
    "Call",
    "Exact",
    "Stream",
    "auth_status",
    "bulk",
    "bulk_get",
    "cancel_bulk",
    "cancel_job",
    "change_priority",
    "clear_queue",
    "clear_queue_defaults",
    "cluster_status",
    "create_key",
    "delete_job",
    "delete_queue",
    "delete_schedule",
    "drain_queue",
    "enqueue",
    "enqueue_batch",
    "enqueue_request",
    "exact",
    "exact_stream",
    "follow_bulk",
    "follow_events",
    "get_batch",
    "get_bulk",
    "get_job",
    "get_queue",
    "get_schedule",
    "healthz",
    "info",
    "limit_queue",
    "list_audit",
    "list_batches",
    "list_bulk",
    "list_keys",
    "list_queues",
    "list_schedules",
    "list_workers",
    "metrics",
    "move_job",
    "pause_queue",
    "pause_schedule",
    "put_schedule",
    "readyz",
    "replace_schedule",
    "requeue_job",
    "resume_queue",
    "resume_schedule",
    "retry_job",
    "revoke_key",
    "rotate_key",
    "run_schedule",
    "schedule_request",
    "search",
    "set_queue_defaults",
    "throttle_queue",
    "unthrottle_queue",
]
