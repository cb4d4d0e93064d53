"""The callback job of a batch: the same on every engine."""

from typing import Any

import orjson

from corvo_schema.states import JobState
from corvo_server.store.records import NewJob


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
