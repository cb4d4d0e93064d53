"""Repeated enqueues: new jobs with the id of a job that exists.

A client that lost an answer sends its job again, with the same id. It gets the state of the job
that exists. Another job with that id is refused: it is not stored, and its client must know that.

Two jobs are the same if their queue and the text of their payload are equal. Operators may have
moved the stored job since, and another enqueue may have replaced its payload. The event log shows
both. Once it has no events of the job any more (setting `retain_events`), the stored queue and
payload decide alone.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from corvo_schema.errors import ErrorCode
from corvo_schema.rules import other_job_refusal
from corvo_schema.states import EventType
from corvo_server.store.commit.tables import KnownJob
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.records import Enqueue, NewJob, Refusal

_ENQUEUED, _REPLACED = EventType.ENQUEUED, EventType.REPLACED


class Difference(NamedTuple):
    """In what a new job differs from the job that has its id."""

    in_queue: bool = False
    in_payload: bool = False


Differences: TypeAlias = dict[tuple[str, str, str], Difference]
"""Differences by id, queue and payload of the new job. A job without an entry is the same."""


def find_differences(
    tx: Transaction, requests: Sequence[Enqueue], known: Mapping[str, KnownJob]
) -> Differences:
    """Compare the new jobs of the requests with the stored jobs of their ids, `known`."""
    jobs = [job for request in requests for job in request.jobs if job.id in known]
    others = set(tx.tables.jobs.other_payloads([_as_compared(job) for job in jobs]))
    differing = [
        (job, Difference(job.queue != known[job.id].queue, index in others))
        for index, job in enumerate(jobs)
        if index in others or job.queue != known[job.id].queue
    ]
    if not differing:
        return {}
    seqs = {known[job.id].seq for job, _ in differing}
    events = tx.tables.events.of_jobs(seqs, (_ENQUEUED, _REPLACED))
    first_queues = {event.job_id: event.queue for event in events if event.type is _ENQUEUED}
    replaced = {event.job_id for event in events if event.type is _REPLACED}
    return {
        (job.id, job.queue, job.payload): Difference(
            in_queue=difference.in_queue and first_queues.get(job.id) != job.queue,
            in_payload=difference.in_payload and job.id not in replaced,
        )
        for job, difference in differing
    }


def _as_compared(job: NewJob) -> NewJob:
    return job if job.same_payload is None else replace(job, payload=job.same_payload)


def difference_from(first: NewJob, job: NewJob) -> Difference:
    """Return the difference of a new job from an earlier one of its commit with the same id."""
    return Difference(job.queue != first.queue, job.payload != first.payload)


def refuse_unseen_job(job: NewJob) -> Refusal:
    """Refuse a new job with the id of another one, about which its caller may learn nothing."""
    message = (
        f"The job_id {job.id} belongs to another job. Nothing was enqueued. Use another job_id."
    )
    return Refusal(ErrorCode.INVALID_STATE, message)


def refuse_other_job(job: NewJob, known: KnownJob | NewJob, difference: Difference) -> Refusal:
    """Refuse a new job that differs from `known`, which has its id."""
    message = other_job_refusal(
        job.id,
        known.state,
        known.queue,
        job.queue if difference.in_queue else None,
        has_other_payload=difference.in_payload,
    )
    return Refusal(ErrorCode.INVALID_STATE, message, known.state)
