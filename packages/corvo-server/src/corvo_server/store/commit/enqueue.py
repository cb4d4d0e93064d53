"""The enqueue verb: stores new jobs, and finds those that exist by their id or unique key."""

from sys import getsizeof

from msgspec.structs import replace

from corvo_schema.rules import repeated_batch
from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.quotas import Quotas
from corvo_server.store.commit.repeats import (
    Difference,
    difference_from,
    find_differences,
    refuse_other_job,
    refuse_unseen_job,
)
from corvo_server.store.commit.tables import KnownJob, Usage
from corvo_server.store.commit.transaction import Transaction, no_room
from corvo_server.store.records import (
    Change,
    Enqueue,
    Enqueued,
    JobHead,
    NewBatch,
    NewJob,
    Refusal,
)
from corvo_server.store.rows.codes import STATE_WORDS
from corvo_server.store.sizes import MEMORY_OF_ITEM


def prefetch(prefetch: Prefetch, requests: list[Enqueue]) -> None:
    """Add the ids and unique keys that the new jobs must not repeat to `prefetch`."""
    for request in requests:
        prefetch.jobs += len(request.jobs)
        for job in request.jobs:
            prefetch.enqueued.add(job.queue)
            if job.is_id_from_client:
                prefetch.known.add(job.id)
            if job.unique_key is not None:
                prefetch.keys.add((job.queue, job.unique_key))


def memory(request: Enqueue) -> int:
    """Return the bytes of memory that the jobs take."""
    return sum(
        [MEMORY_OF_ITEM + getsizeof(job.payload) + getsizeof(job.tags) for job in request.jobs]
    )


def enqueue(
    tx: Transaction, requests: list[Enqueue], *, are_announced: bool = True
) -> list[list[Enqueued] | Refusal]:
    """Insert the new jobs of all requests. Each request is atomic: all of its jobs or none.

    Return the results of each request in the order of its jobs, or its refusal. `are_announced`:
    the `on_enqueue` listeners were called with the requests.
    """
    additions = _Additions(tx, requests, are_announced=are_announced)
    answers = [additions.add(request) for request in requests]
    additions.write()
    return answers


class _Additions:
    """The new jobs of one commit, and the changes that they cause to existing jobs."""

    def __init__(self, tx: Transaction, requests: list[Enqueue], *, are_announced: bool) -> None:
        self._tx = tx
        self._are_announced = are_announced
        tx.complete([job for request in requests for job in request.jobs])
        self._known = _known_jobs(tx, requests)
        self._differences = find_differences(tx, requests, self._known) if self._known else {}
        self._added: dict[str, NewJob] = {}
        """Jobs with an id from the client that this commit added, by id."""
        self._new: list[NewJob] = []
        """New jobs that are not inserted yet."""
        self._holders: dict[tuple[str, str], NewJob] = {}
        """New jobs by the queue and unique key that they hold."""
        self._heads: dict[str, JobHead] = {}
        """Heads of stored jobs that conflict with new ones, by id, after their changes so far."""
        self._changes: list[tuple[JobHead, Change, str | None]] = []
        """Changes to existing jobs that a new job replaces or reschedules, and its caller."""
        with_quota = [request for request in requests if request.quota is not None]
        self._quotas = Quotas(tx, with_quota) if with_quota else None
        self._replaced_bytes = 0
        """Bytes that the current request adds by replacing the payloads of jobs of its key."""
        self._first = 0
        """Index in `_new` of the first job of the current request."""

    def add(self, request: Enqueue) -> list[Enqueued] | Refusal:
        """Add the jobs of a request and its batch, or nothing if one of the jobs is refused."""
        self._first = len(self._new)
        self._replaced_bytes = 0
        changed = len(self._changes)
        room = self._tx.room
        answers: list[Enqueued] = []
        for job in request.jobs:
            answer = self._add(job, request)
            if isinstance(answer, Refusal):
                return self._refuse(answer, changed, room)
            answers.append(answer)
        if self._quotas is not None and request.quota is not None:
            refusal = self._quotas.take(request.quota, self._usage())
            if refusal is not None:
                return self._refuse(refusal, changed, room)
        if request.batch is not None:
            found = ((answer.is_new, answer.batch_id) for answer in answers)
            if repeated_batch(found) is None:
                _insert_batch(self._tx, request.batch, len(self._new) - self._first)
        return answers

    def _usage(self) -> Usage:
        """Return what the current request adds to the usage of its key."""
        added = self._new[self._first :]
        return Usage(len(added), sum(job.charged_bytes for job in added) + self._replaced_bytes)

    def _refuse(self, refusal: Refusal, changed: int, room: float) -> Refusal:
        self._undo_request(changed)
        self._tx.room = room
        return refusal

    def write(self) -> None:
        """Insert the new jobs and write the changes to existing jobs."""
        self._tx.insert(self._new, are_announced=self._are_announced)
        for before, change, actor in self._changes:
            self._tx.record(before, change, actor)
        self._tx.write([change for _, change, _ in self._changes])

    def _add(self, job: NewJob, request: Enqueue) -> Enqueued | Refusal:
        if job.is_id_from_client:
            known = self._known.get(job.id) or self._added.get(job.id)
            if known is not None:
                answer = self._repeat(job, known)
                if request.sees is not None and not request.sees(known.queue):
                    return _hide_state(job, answer)
                return answer
        if job.unique_key is not None:
            key = (job.queue, job.unique_key)
            new = self._holders.get(key)
            if new is not None and new.created_at + new.unique_period > job.created_at:
                return self._resolve_conflict(job, new.id, is_stored=False)
            stored = self._tx.tables.locks.holder(job.queue, job.unique_key, job.created_at)
            if new is None and stored is not None:
                return self._resolve_conflict(job, stored, is_stored=True)
        if not self._tx.take_room(job.payload):
            return no_room()
        if job.unique_key is not None:
            self._holders[job.queue, job.unique_key] = job
        word = STATE_WORDS[job.state]
        if job.is_id_from_client:
            self._added[job.id] = job
        self._new.append(job)
        return Enqueued(job.id, word, batch_id=job.batch_id)

    def _repeat(self, job: NewJob, known: KnownJob | NewJob) -> Enqueued | Refusal:
        """Return the result of an enqueue with the id of `known`; a refusal if it differs."""
        if isinstance(known, NewJob):
            difference = difference_from(known, job)
        else:
            key = (job.id, job.queue, job.payload)
            difference = self._differences.get(key) or Difference()
        if difference.in_payload and self._is_replaced(job.id):
            difference = difference._replace(in_payload=False)
        if any(difference):
            return refuse_other_job(job, known, difference)
        # A new job with the unique key of the existing job may have changed its state.
        state = self._heads[job.id].state if job.id in self._heads else known.state
        return Enqueued(job.id, STATE_WORDS[state], is_new=False, batch_id=known.batch_id)

    def _is_replaced(self, job_id: str) -> bool:
        """Return whether a new job of this commit replaces the payload of an existing one."""
        return any(change.job.id == job_id and change.replacement for _, change, _ in self._changes)

    def _resolve_conflict(self, job: NewJob, holder: str, *, is_stored: bool) -> Enqueued | Refusal:
        """Apply the rule of `job` to the job that holds its unique key. Return the result."""
        duplicate = Enqueued(holder, "duplicate", is_new=False, is_duplicate=True)
        if job.on_conflict is None:
            return duplicate
        if not is_stored:
            if any(new.id == holder for new in self._new[self._first :]):
                return duplicate  # of two jobs in one request, the first is stored unchanged
            self._insert_earlier_requests()
        head = self._head(holder)
        outcome = job.on_conflict(head)
        if isinstance(outcome, Refusal):
            return outcome
        if isinstance(outcome, Change):
            if outcome.replacement is not None and not self._tx.take_room(job.payload):
                return no_room()
            if head.charged_to == job.charged_to:
                self._replaced_bytes += outcome.job.charged_bytes - head.charged_bytes
            self._heads[holder] = outcome.job
            self._changes.append((head, outcome, job.actor))
            status = outcome.event.value if outcome.event else "duplicate"
            return Enqueued(holder, status, is_new=False, is_duplicate=True)
        return duplicate

    def _insert_earlier_requests(self) -> None:
        """Insert the new jobs of earlier requests of this commit, so that a rule can change one."""
        self._tx.insert(self._new[: self._first], are_announced=self._are_announced)
        del self._new[: self._first]
        self._first = 0

    def _head(self, job_id: str) -> JobHead:
        head = self._heads.get(job_id)
        if head is None:
            head = self._tx.tables.jobs.heads([job_id])[job_id]
            self._heads[job_id] = head
        return head

    def _undo_request(self, changed: int) -> None:
        """Drop the jobs of the current request, and all changes after the first `changed`."""
        for job in self._new[self._first :]:
            self._added.pop(job.id, None)
            if job.unique_key is not None:
                self._holders.pop((job.queue, job.unique_key), None)
        del self._new[self._first :]
        del self._changes[changed:]
        self._heads = {change.job.id: change.job for _, change, _ in self._changes}


def _hide_state(job: NewJob, answer: Enqueued | Refusal) -> Enqueued | Refusal:
    """Return the answer to a repeated enqueue whose caller does not see the stored job.

    It may be the job of the caller, which was moved to another queue: then it is stored, as asked.
    """
    if isinstance(answer, Refusal):
        return refuse_unseen_job(job)
    return replace(answer, status=STATE_WORDS[job.state])


def _known_jobs(tx: Transaction, requests: list[Enqueue]) -> dict[str, KnownJob]:
    """Return the existing jobs among those with an id from the client, by id."""
    ids = [job.id for request in requests for job in request.jobs if job.is_id_from_client]
    return tx.tables.jobs.known(ids) if ids else {}


def _insert_batch(tx: Transaction, batch: NewBatch, total: int) -> None:
    tx.tables.batches.insert(batch, total)
    if total == 0:
        tx.check_batch_end(batch.id, batch.created_at)
