"""The callback job of a batch."""

import orjson

from corvo_schema import rules
from corvo_schema.states import JobState
from corvo_server.store.commit.tables import EndedBatch
from corvo_server.store.records import NewJob


def callback_job(batch: EndedBatch) -> NewJob:
    """Return the callback job of an ended batch. Its payload has the batch's counts."""
    payload = rules.callback_payload(batch, orjson.Fragment(batch.callback_payload))
    return NewJob(
        id=batch.callback_job_id,
        queue=batch.callback_queue or "",
        state=JobState.PENDING,
        payload=orjson.dumps(payload).decode(),
        created_at=batch.ended_at,
        charged_to=batch.charged_to,
    )
