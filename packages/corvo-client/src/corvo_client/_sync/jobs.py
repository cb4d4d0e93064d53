# Generated from src/corvo_client/_async/jobs.py by scripts/gen_sync.py. Do not edit.
"""Client methods that enqueue jobs, and methods for single jobs and batches."""

from collections.abc import Iterable
from typing import Any, Unpack

from corvo_client._calls import jobs as calls
from corvo_client._errors import PayloadTooLarge
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
    """Enqueue jobs, and read or change single jobs and batches."""

    def enqueue(
        self, queue: str, payload: Any = NO_PAYLOAD, **options: Unpack[EnqueueOptions]
    ) -> EnqueueReply:
        """Enqueue a job. When this returns, the job is on stable storage.

        `payload` is any JSON value; pydantic models, dataclasses and datetimes are converted.
        `options` are those of `EnqueueOptions`. If an unfinished job has the `unique_key`, the
        reply has the id of that job, and `unique_existing` is true.
        """
        return self._send(calls.enqueue_new(queue, payload, options))

    def enqueue_request(self, request: EnqueueRequest) -> EnqueueReply:
        """Enqueue a request of `Task.request` or `calls.enqueue_request`."""
        return self._send(calls.enqueue(request))

    def enqueue_batch(
        self, jobs: Iterable[EnqueueRequest | NewJob], *, batch: BatchOptions | None = None
    ) -> EnqueueBatchReply:
        """Enqueue up to 10,000 jobs, all or none. The ids of the reply have the order of the jobs.

        A job is a dict of `queue`, `payload` and the options of `enqueue`. With `batch`, the server
        enqueues a callback job when all jobs have finished.
        """
        return self._send(calls.enqueue_batch(jobs, batch))

    def get_job(self, job_id: str) -> Job:
        """Return a job. Raises `NotFound`."""
        return self._send(calls.get_job(job_id))

    def bulk_get(self, job_ids: Iterable[str]) -> list[Job]:
        """Return the jobs with these ids. Unknown ids are skipped.

        If the jobs are too large for one reply, several requests fetch them.
        """
        wanted = list(dict.fromkeys(job_ids))
        try:
            return (self._send(calls.bulk_get(wanted))).jobs
        except PayloadTooLarge:
            if len(wanted) < 2:
                raise
        half = len(wanted) // 2
        return [*self.bulk_get(wanted[:half]), *self.bulk_get(wanted[half:])]

    def cancel_job(self, job_id: str) -> StatusReply:
        """Cancel a job. The status is `cancelled`, or `cancelling` while a worker runs the job.

        Raises `NotFound`, and `InvalidState` if the job has finished.
        """
        return self._send(calls.cancel_job(job_id))

    def retry_job(self, job_id: str) -> StatusReply:
        """Run a finished job again with all its attempts, or a scheduled or retrying job now.

        Raises `NotFound`, and `InvalidState` if the job is pending or active, or if another
        unfinished job has its unique key.
        """
        return self._send(calls.retry_job(job_id))

    def requeue_job(self, job_id: str) -> StatusReply:
        """Give a dead job one more attempt. Its earlier attempts still count.

        Raises `NotFound`, and `InvalidState` if the job is not dead.
        """
        return self._send(calls.requeue_job(job_id))

    def move_job(self, job_id: str, queue: str) -> StatusReply:
        """Move a job to another queue. The job keeps its state.

        Raises `NotFound`, and `InvalidState` if the job is active.
        """
        return self._send(calls.move_job(job_id, queue))

    def change_priority(self, job_id: str, priority: AnyPriority) -> StatusReply:
        """Change the priority of a waiting job. Raises `NotFound`, `InvalidState`."""
        return self._send(calls.change_priority(job_id, priority))

    def delete_job(self, job_id: str) -> StatusReply:
        """Delete a job permanently.

        Raises `NotFound`, and `InvalidState` if the job is active: cancel it first.
        """
        return self._send(calls.delete_job(job_id))

    def get_batch(self, batch_id: str) -> Batch:
        """Return a batch with its job counts. Raises `NotFound`."""
        return self._send(calls.get_batch(batch_id))

    def list_batches(
        self, state: AnyBatchState | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> BatchList:
        """Return one page of the batches in `state` (None: all), newest first.

        `limit` is 1 to 1000. Pass the `cursor` of the reply to get the next page.
        """
        return self._send(calls.list_batches(state, limit=limit, cursor=cursor))
