"""Calls as values: what each method of a client sends, for those who want more than its reply.

`client.send(calls.get_job(job_id))` is `client.get_job(job_id)`; and with `exact`, the body of the
answer comes along: `client.send(exact(calls.get_job(job_id)))`.
"""

from corvo_client._call import Call, Exact, exact
from corvo_client._calls.admin import cluster_status, healthz, info, list_workers, readyz
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
    move_job,
    requeue_job,
    retry_job,
)
from corvo_client._calls.queues import (
    clear_queue,
    delete_queue,
    drain_queue,
    get_queue,
    limit_queue,
    list_queues,
    pause_queue,
    resume_queue,
    throttle_queue,
    unthrottle_queue,
)

__all__ = [
    "Call",
    "Exact",
    "bulk_get",
    "cancel_job",
    "change_priority",
    "clear_queue",
    "cluster_status",
    "delete_job",
    "delete_queue",
    "drain_queue",
    "enqueue",
    "enqueue_batch",
    "enqueue_request",
    "exact",
    "get_batch",
    "get_job",
    "get_queue",
    "healthz",
    "info",
    "limit_queue",
    "list_queues",
    "list_workers",
    "move_job",
    "pause_queue",
    "readyz",
    "requeue_job",
    "resume_queue",
    "retry_job",
    "throttle_queue",
    "unthrottle_queue",
]
