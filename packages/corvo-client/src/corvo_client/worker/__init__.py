"""Workers: run functions for the jobs of queues."""

from corvo_client.worker._context import Context, current_job
from corvo_client.worker._leases import Interruption
from corvo_client.worker._middleware import CallNext, Middleware
from corvo_client.worker._outcomes import Cancel, Retry, Snooze
from corvo_client.worker._payload import InvalidPayload
from corvo_client.worker._scheduler import Scheduler
from corvo_client.worker._task import Executor, Task
from corvo_client.worker._worker import Worker

__all__ = [
    "CallNext",
    "Cancel",
    "Context",
    "Executor",
    "Interruption",
    "InvalidPayload",
    "Middleware",
    "Retry",
    "Scheduler",
    "Snooze",
    "Task",
    "Worker",
    "current_job",
]
