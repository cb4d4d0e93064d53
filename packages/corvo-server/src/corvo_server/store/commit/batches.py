"""What is the same about batches on every engine."""

from collections.abc import Iterable

import orjson

from corvo_schema.states import JobState
from corvo_server.store.commit.tables import EndedBatch
from corvo_server.store.records import Enqueued, NewJob


def callback_job(batch: EndedBatch) -> NewJob:
    """The job that tells how a batch with a callback ended."""
    told = {
        "batch_id": batch.id,
        "total": batch.total,
        "succeeded": batch.succeeded,
        "failed": batch.failed,
        "cancelled": batch.cancelled,
        "payload": orjson.Fragment(batch.callback_payload),
    }
    return NewJob(
        id=batch.callback_job_id,
        queue=batch.callback_queue or "",
        state=JobState.PENDING,
        payload=orjson.dumps(told).decode(),
        created_at=batch.ended_at,
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
