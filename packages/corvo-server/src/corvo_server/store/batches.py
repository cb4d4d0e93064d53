"""The callback job of a batch: the same on every engine."""

import orjson

from corvo_schema.states import JobState
from corvo_server.store.records import NewJob


def callback_job(
    batch_id: str,
    ended_at: int,
    total: int,
    succeeded: int,
    failed: int,
    cancelled: int,
    queue: str,
    job_id: str,
    payload: str,
) -> NewJob:
    """The job that tells how a batch ended; `payload` is the caller's JSON text."""
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
