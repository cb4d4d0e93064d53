"""Calls as values: what each method of a client sends, for those who want more than its reply.

`client.send(calls.get_job(job_id))` is `client.get_job(job_id)`; and with `exact`, the body of the
answer comes along: `client.send(exact(calls.get_job(job_id)))`.
"""

from corvo_client._call import Call, Exact, exact
from corvo_client._calls.admin import healthz, info, readyz
from corvo_client._calls.jobs import (
    bulk_get,
    cancel_job,
    enqueue,
    enqueue_batch,
    enqueue_request,
    get_batch,
    get_job,
    retry_job,
)
from corvo_client._calls.queues import get_queue, list_queues, pause_queue, resume_queue

__all__ = [
    "Call",
    "Exact",
    "bulk_get",
    "cancel_job",
    "enqueue",
    "enqueue_batch",
    "enqueue_request",
    "exact",
    "get_batch",
    "get_job",
    "get_queue",
    "healthz",
    "info",
    "list_queues",
    "pause_queue",
    "readyz",
    "resume_queue",
    "retry_job",
]
