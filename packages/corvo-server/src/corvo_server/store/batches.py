"""What is the same about batches on every engine."""

from collections.abc import Iterable
from typing import Any

import orjson

from corvo_schema.states import JobState
from corvo_server.store.records import Enqueued, NewJob


def callback_job(batch_id: str, ended_at: int, finished: tuple[Any, ...]) -> NewJob:
    """The job that tells how a batch ended.

    `finished` is (total, succeeded, failed, cancelled, callback queue, callback job id, payload):
    the payload is the caller's, as JSON text.
    """
    total, succeeded, failed, cancelled, queue, job_id, payload = finished
    told = {
        "batch_id": batch_id,
        "total": total,
        "succeeded": succeeded,
        "failed": failed,
        "cancelled": cancelled,
        "payload": orjson.Fragment(payload),
    }
    return NewJob(
        id=job_id,
        queue=queue,
        state=JobState.PENDING,
        payload=orjson.dumps(told).decode(),
        created_at=ended_at,
    )


def repeated_batch(jobs: Iterable[Enqueued]) -> str | None:
    """The batch that an earlier sending of the same request made; None if this is the first.

    A client whose answer was lost sends its jobs again, by the ids that it gave them: none is new
    then, and a second batch would bring a second callback.
    """
    batch_id = None
    for job in jobs:
        if job.is_new:
            return None
        batch_id = batch_id or job.batch_id
    return batch_id
