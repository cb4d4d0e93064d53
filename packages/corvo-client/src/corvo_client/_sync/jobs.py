# Generated from src/corvo_client/_async/jobs.py by scripts/gen_sync.py. Do not edit.
"""The client's methods for producers, and about single jobs."""

from collections.abc import Iterable
from typing import Any, Unpack

from corvo_client._calls import jobs as calls
from corvo_client._options import NO_PAYLOAD, AnyBatchState, AnyPriority, EnqueueOptions, NewJob
from corvo_client._sync.base import Base
from corvo_schema import (
    Batch,
    BatchList,
    BatchOptions,
    EnqueueBatchReply,
    EnqueueReply,
    EnqueueRequest,
    Job,
    StatusReply,
)


class Jobs(Base):
    """Enqueue jobs, and look after single ones."""

    def enqueue(
        self, queue: str, payload: Any = NO_PAYLOAD, **options: Unpack[EnqueueOptions]
    ) -> EnqueueReply:
        """Enqueue a job; when this returns, it is on stable storage.

        `payload` is anything that JSON can express, and pydantic models, dataclasses, datetimes and
        the like; `options` are those of `EnqueueOptions`. With a `unique_key` that a live job
        holds, the reply names that job, and its `unique_existing` is true.
        """
        return self._send(calls.enqueue_new(queue, payload, options))

    def enqueue_request(self, request: EnqueueRequest) -> EnqueueReply:
        """Enqueue what `Task.request` or `calls.enqueue_request` made."""
        return self._send(calls.enqueue(request))

    def enqueue_batch(
        self, jobs: Iterable[EnqueueRequest | NewJob], *, batch: BatchOptions | None = None
    ) -> EnqueueBatchReply:
        """Enqueue up to 10,000 jobs, all or nothing; the reply's ids are in the order of the jobs.

        A job is a dict of `queue`, `payload` and the options of `enqueue`. With `batch`, a callback
        job is enqueued once the last of them has ended.
        """
        return self._send(calls.enqueue_batch(jobs, batch))

    def get_job(self, job_id: str) -> Job:
        """Return everything about a job. Raises `NotFound`."""
        return self._send(calls.get_job(job_id))

    def bulk_get(self, job_ids: Iterable[str]) -> list[Job]:
        """Return those of these jobs that exist."""
        return (self._send(calls.bulk_get(job_ids))).jobs

    def cancel_job(self, job_id: str) -> StatusReply:
        """Cancel a job: `cancelled`, or `cancelling` while a worker still holds it.

        Raises `NotFound`, and `InvalidState` when it has ended already.
        """
        return self._send(calls.cancel_job(job_id))

    def retry_job(self, job_id: str) -> StatusReply:
        """Run an ended job again with all its attempts, or a waiting one now.

        Raises `NotFound`, and `InvalidState` while it is pending or active, or when another live
        job holds its unique key.
        """
        return self._send(calls.retry_job(job_id))

    def requeue_job(self, job_id: str) -> StatusReply:
        """Give a dead job one more attempt; those it had still count.

        Raises `NotFound`, and `InvalidState` when it is not dead.
        """
        return self._send(calls.requeue_job(job_id))

    def move_job(self, job_id: str, queue: str) -> StatusReply:
        """Put a job into another queue, as it is.

        Raises `NotFound`, and `InvalidState` while a worker has it.
        """
        return self._send(calls.move_job(job_id, queue))

    def change_priority(self, job_id: str, priority: AnyPriority) -> StatusReply:
        """Let a waiting job be served earlier or later. Raises `NotFound`, `InvalidState`."""
        return self._send(calls.change_priority(job_id, priority))

    def delete_job(self, job_id: str) -> StatusReply:
        """Remove a job for good.

        Raises `NotFound`, and `InvalidState` while a worker has it: cancel it first.
        """
        return self._send(calls.delete_job(job_id))

    def get_batch(self, batch_id: str) -> Batch:
        """Return how far a batch is. Raises `NotFound`."""
        return self._send(calls.get_batch(batch_id))

    def list_batches(
        self, state: AnyBatchState | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> BatchList:
        """Return one page of the batches, the newest first; those that are `running`, or all.

        `limit` is 1 to 1000. Pass the reply's `cursor` to get the next page.
        """
        return self._send(calls.list_batches(state, limit=limit, cursor=cursor))
