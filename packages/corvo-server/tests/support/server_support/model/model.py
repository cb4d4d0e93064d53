"""The complete model, and assertions that compare stored jobs and outcomes with it."""

from corvo_schema.errors import ErrorCode
from corvo_server.store.records import JobHead, Outcome, Refusal
from server_support.model.bulk import Bulk
from server_support.model.parts import Answer, Job
from server_support.model.producers import Producers
from server_support.model.schedules import Schedules
from server_support.model.services import Services
from server_support.model.workers import Workers


class Model(Producers, Workers, Bulk, Schedules, Services):
    """The model of a server. Each verb applies a call and returns the expected answer."""


def check_head(job: Job, head: JobHead) -> None:
    """Assert that a stored job equals that of the model."""
    assert (
        head.id,
        head.queue,
        head.state,
        head.priority,
        head.attempt,
        head.scheduled_at,
        head.expire_at,
        head.lease_expires_at,
        head.is_cancel_requested,
        head.finished_at,
        head.batch_id,
        head.max_retries,
        head.unique_key,
        head.concurrency_key,
    ) == (
        job.id,
        job.queue,
        job.state,
        job.place[0],
        job.attempt,
        job.scheduled_at,
        job.expire_at,
        job.lease_ends,
        job.is_cancel_requested,
        job.finished_at,
        job.batch,
        job.max_retries,
        job.unique_key,
        job.concurrency_key,
    )


def check_outcome(outcome: Outcome, expected: Answer) -> None:
    """Assert that a call had the expected outcome."""
    if isinstance(expected, ErrorCode):
        assert isinstance(outcome, Refusal), outcome
        assert outcome.code is expected, outcome
    else:
        assert type(outcome) is expected, outcome
