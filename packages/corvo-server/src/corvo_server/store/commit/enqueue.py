"""Storing new jobs: what is there already by its id or its unique key is found, not doubled."""

from corvo_schema.rules import repeated_batch
from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.transaction import Transaction
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


def prefetch(prefetch: Prefetch, requests: list[Enqueue]) -> None:
    """What the jobs will be held against."""
    for request in requests:
        prefetch.jobs += len(request.jobs)
        for job in request.jobs:
            if job.is_id_from_client:
                prefetch.known.add(job.id)
            if job.unique_key is not None:
                prefetch.keys.add((job.queue, job.unique_key))


def enqueue(tx: Transaction, requests: list[Enqueue]) -> list[list[Enqueued] | Refusal]:
    """Store the jobs of all requests, each request wholly or not at all."""
    intake = _Intake(tx, requests)
    answers = [intake.take(request) for request in requests]
    intake.write()
    return answers


class _Intake:
    """The jobs that one commit takes in, and what is known of those they meet."""

    def __init__(self, tx: Transaction, requests: list[Enqueue]) -> None:
        self._tx = tx
        self._known = _known_ids(tx, requests)
        self._fresh: list[NewJob] = []
        self._holders: dict[tuple[str, str], NewJob] = {}
        """Holders of unique keys among the fresh jobs."""
        self._heads: dict[str, JobHead] = {}
        self._changes: list[tuple[JobHead, Change]] = []
        """Of stored jobs that a fresh one replaces or reschedules."""
        self._first = 0
        """Where the fresh jobs of the request at hand begin."""

    def take(self, request: Enqueue) -> list[Enqueued] | Refusal:
        """Take a request's jobs in, or nothing of it if one of them is refused."""
        self._first = len(self._fresh)
        changed = len(self._changes)
        answers: list[Enqueued] = []
        for job in request.jobs:
            answer = self._take(job)
            if isinstance(answer, Refusal):
                self._take_back(changed)
                return answer
            answers.append(answer)
        if request.batch is not None:
            found = ((answer.is_new, answer.batch_id) for answer in answers)
            if repeated_batch(found) is None:
                _insert_batch(self._tx, request.batch, len(self._fresh) - self._first)
        return answers

    def write(self) -> None:
        """Store what was taken in."""
        self._tx.insert(self._fresh)
        for before, change in self._changes:
            self._tx.record(before, change)
        self._tx.write([change for _, change in self._changes])

    def _take(self, job: NewJob) -> Enqueued | Refusal:
        if job.is_id_from_client:
            known = self._known.get(job.id)
            if known is not None:
                status, batch_id = known
                changed = self._heads.get(job.id)  # by another one, of its unique key
                if changed is not None:
                    status = STATE_WORDS[changed.state]
                return Enqueued(job.id, status, is_new=False, batch_id=batch_id)
        if job.unique_key is not None:
            key = (job.queue, job.unique_key)
            fresh = self._holders.get(key)
            if fresh is not None and fresh.created_at + fresh.unique_period > job.created_at:
                return self._meet(job, fresh.id, is_stored=False)
            stored = self._tx.tables.locks.holder(job.queue, job.unique_key, job.created_at)
            if fresh is None and stored is not None:
                return self._meet(job, stored, is_stored=True)
            self._holders[key] = job
        word = STATE_WORDS[job.state]
        if job.is_id_from_client:
            self._known[job.id] = (word, job.batch_id)
        self._fresh.append(job)
        return Enqueued(job.id, word, batch_id=job.batch_id)

    def _meet(self, job: NewJob, holder: str, *, is_stored: bool) -> Enqueued | Refusal:
        """What becomes of a job whose unique key is held."""
        duplicate = Enqueued(holder, "duplicate", is_new=False, is_duplicate=True)
        if job.on_conflict is None:
            return duplicate
        if not is_stored:
            if any(fresh.id == holder for fresh in self._fresh[self._first :]):
                return duplicate  # twice in one request: the first stands
            self._store_neighbours()
        head = self._head(holder)
        outcome = job.on_conflict(head)
        if isinstance(outcome, Refusal):
            return outcome
        if isinstance(outcome, Change):
            self._heads[holder] = outcome.job
            self._changes.append((head, outcome))
            status = outcome.event.value if outcome.event else "duplicate"
            return Enqueued(holder, status, is_new=False, is_duplicate=True)
        return duplicate

    def _store_neighbours(self) -> None:
        """Store what other requests of this commit brought, so that it can be changed."""
        self._tx.insert(self._fresh[: self._first])
        del self._fresh[: self._first]
        self._first = 0

    def _head(self, job_id: str) -> JobHead:
        head = self._heads.get(job_id)
        if head is None:
            head = self._tx.tables.jobs.heads([job_id])[job_id]
            self._heads[job_id] = head
        return head

    def _take_back(self, changed: int) -> None:
        for job in self._fresh[self._first :]:
            self._known.pop(job.id, None)
            if job.unique_key is not None:
                self._holders.pop((job.queue, job.unique_key), None)
        del self._fresh[self._first :]
        del self._changes[changed:]
        self._heads = {change.job.id: change.job for _, change in self._changes}


def _known_ids(tx: Transaction, requests: list[Enqueue]) -> dict[str, tuple[str, str | None]]:
    """State and batch, by id, of the jobs that a client sent before. Grows with this commit's."""
    ids = [job.id for request in requests for job in request.jobs if job.is_id_from_client]
    if not ids:
        return {}
    known = tx.tables.jobs.known(ids)
    return {job_id: (STATE_WORDS[state], batch_id) for job_id, (state, batch_id) in known.items()}


def _insert_batch(tx: Transaction, batch: NewBatch, total: int) -> None:
    tx.tables.batches.insert(batch, total)
    if total == 0:
        tx.settle_batch(batch.id, batch.created_at)
