"""Repeated enqueues: new jobs with the id of a job that exists.

A client that lost an answer sends its job again, with the same id. It gets the state of the job
that exists. Another job with that id is refused: it is not stored, and its client must know that.

Two jobs are the same if their queue and the text of their payload are equal. Operators may have
moved the stored job since, and another enqueue may have replaced its payload. The event log shows
both. Once it has no events of the job any more (setting `retain_events`), the stored queue and
payload decide alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

from corvo_schema.errors import ErrorCode
from corvo_schema.rules import other_job_refusal
from corvo_schema.states import EventType
from corvo_server.store.commit.tables import KnownJob
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.records import Enqueue, NewJob, Refusal

_ENQUEUED, _REPLACED = EventType.ENQUEUED, EventType.REPLACED


class Difference(NamedTuple):
    """In what a new job differs from the job that has its id."""

    in_queue: bool
    in_payload: bool


_SAME = Difference(in_queue=False, in_payload=False)


class StoredJobs:
    """The stored jobs that the new jobs of some requests name by id, and which of them differ."""

    def __init__(self, tx: Transaction, requests: Sequence[Enqueue]) -> None:
        jobs = [job for request in requests for job in request.jobs if job.is_id_from_client]
        self.by_id: dict[str, KnownJob] = {}
        """The stored jobs by id."""
        self._differences: dict[tuple[str, str, str], Difference] = {}
        """Differences by id, queue and payload of the new job."""
        if jobs:
            self.by_id = tx.tables.jobs.known([job.id for job in jobs])
        if self.by_id:
            self._compare(tx, [job for job in jobs if job.id in self.by_id])

    def difference_of(self, job: NewJob) -> Difference:
        """Return the difference of a new job from the stored job with its id."""
        if not self._differences:
            return _SAME
        return self._differences.get((job.id, job.queue, job.payload), _SAME)

    def _compare(self, tx: Transaction, jobs: list[NewJob]) -> None:
        """Find the differences of `jobs`, which are all stored."""
        others = set(tx.tables.jobs.other_payloads(jobs))
        differing = [
            (job, Difference(job.queue != self.by_id[job.id].queue, index in others))
            for index, job in enumerate(jobs)
            if index in others or job.queue != self.by_id[job.id].queue
        ]
        if not differing:
            return
        seqs = {self.by_id[job.id].seq for job, _ in differing}
        events = tx.tables.events.of_jobs(seqs, (_ENQUEUED, _REPLACED))
        first_queues = {event.job_id: event.queue for event in events if event.type is _ENQUEUED}
        replaced = {event.job_id for event in events if event.type is _REPLACED}
        for job, difference in differing:
            self._differences[job.id, job.queue, job.payload] = Difference(
                in_queue=difference.in_queue and first_queues.get(job.id) != job.queue,
                in_payload=difference.in_payload and job.id not in replaced,
            )


def difference_from(first: NewJob, job: NewJob) -> Difference:
    """Return the difference of a new job from an earlier one of its commit with the same id."""
    return Difference(job.queue != first.queue, job.payload != first.payload)


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
