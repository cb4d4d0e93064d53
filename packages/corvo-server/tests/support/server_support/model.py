"""What a server should do, written a second time and without looking at the first: plain dicts."""

from dataclasses import dataclass, field

from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from corvo_server.store.records import Change, JobHead, LeasedJob, Outcome, Refusal, Unchanged

S = JobState
DAY = 86_400_000
WAITING = (S.PENDING, S.SCHEDULED, S.RETRYING)
FINISHED = (S.COMPLETED, S.DEAD, S.CANCELLED)


@dataclass
class Job:
    """A job as it should be."""

    id: str
    queue: str
    place: tuple[int, int]
    """Priority and order of enqueueing: who is served first."""
    state: JobState
    scheduled_at: int | None
    expire_at: int | None
    max_retries: int
    delay: int | None
    """Between attempts; None for the default, 5 seconds and then twice as long each time."""
    unique_key: str | None
    unique_period: int
    batch: str | None
    attempt: int = 0
    failures: int = 0
    lease_ms: int = 0
    lease_ends: int | None = None
    token: str | None = None
    """That holds the job, or that ended its last attempt."""
    was_acked: bool = False
    is_cancel_requested: bool = False
    finished_at: int | None = None
    is_counted: bool = False


@dataclass
class Batch:
    """A batch as it should be."""

    total: int
    counts: dict[JobState, int] = field(default_factory=lambda: dict.fromkeys(FINISHED, 0))
    finished_at: int | None = None


@dataclass
class Queue:
    """A queue as it should be."""

    is_paused: bool = False
    enqueued: int = 0
    failed: int = 0


class Model:
    """All jobs, batches and queues. Each verb says what the answer should be."""

    def __init__(self) -> None:
        self.now = 0
        self.jobs: dict[str, Job] = {}
        self.gone: set[str] = set()
        self.reborn: set[str] = set()
        """Jobs whose ids belonged to others that were pruned."""
        self.batches: dict[str, Batch] = {}
        self.queues: dict[str, Queue] = {}
        self.locks: dict[tuple[str, str], tuple[str, int]] = {}
        self.tokens: set[str] = set()
        self._order = 0
        self._touched: dict[str, None] = {}

    # Producers

    def holder(self, queue: str, key: str | None) -> str | None:
        """The id of the job that holds a unique key now."""
        if key is None or (queue, key) not in self.locks:
            return None
        job_id, until = self.locks[queue, key]
        return job_id if until > self.now else None

    def add(
        self,
        job_id: str,
        queue: str,
        *,
        priority: int = 2,
        scheduled_at: int | None = None,
        expire_after: int | None = None,
        max_retries: int = 3,
        delay: int | None = None,
        unique_key: str | None = None,
        unique_period: int = 3_600_000,
        batch: str | None = None,
    ) -> Job:
        """Take in a job that is new."""
        assert job_id not in self.jobs
        self._order += 1
        is_due = scheduled_at is None or scheduled_at <= self.now
        job = Job(
            id=job_id,
            queue=queue,
            place=(priority, self._order),
            state=S.PENDING if is_due else S.SCHEDULED,
            scheduled_at=scheduled_at,
            expire_at=None if expire_after is None else self.now + expire_after,
            max_retries=max_retries,
            delay=delay,
            unique_key=unique_key,
            unique_period=unique_period,
            batch=batch,
        )
        self.jobs[job_id] = job
        if job_id in self.gone:
            self.gone.remove(job_id)
            self.reborn.add(job_id)
        self.queue(queue).enqueued += 1
        self._lock(job)
        return job

    def queue(self, name: str) -> Queue:
        """A queue, which comes into being when it is asked for."""
        return self.queues.setdefault(name, Queue())

    # Workers

    def next_jobs(self, queues: list[str], count: int) -> list[Job]:
        """The jobs that a fetch should get, in their order."""
        ready = [
            job
            for job in self.jobs.values()
            if job.state is S.PENDING
            and job.queue in queues
            and not self.queues[job.queue].is_paused
            and not self._is_expired(job)
        ]
        return sorted(ready, key=lambda job: job.place)[:count]

    def start(self, job: Job, leased: LeasedJob, lease_ms: int) -> None:
        """Hand a job out; its token must be one that nobody ever had."""
        token = leased.head.lease_token
        assert token is not None
        assert token not in self.tokens
        self.tokens.add(token)
        job.state = S.ACTIVE
        job.attempt += 1
        job.lease_ms = lease_ms
        job.lease_ends = self.now + lease_ms
        job.token = token
        job.was_acked = False

    def ack(self, job_id: str, token: str | None) -> type[Outcome] | ErrorCode:
        """Complete a job."""
        job = self.jobs.get(job_id)
        refusal = self._guard(job, token)
        if job is None or refusal is not None:
            is_repeat = job is not None and token == job.token and job.was_acked
            return Unchanged if is_repeat and token is not None else refusal or ErrorCode.NOT_FOUND
        job.was_acked = True
        self._finish(job, S.COMPLETED)
        return Change

    def fail(
        self, job_id: str, token: str | None, *, may_retry: bool, is_cancel: bool
    ) -> type[Outcome] | ErrorCode:
        """Fail an attempt."""
        job = self.jobs.get(job_id)
        refusal = self._guard(job, token)
        if job is None or refusal is not None:
            is_repeat = job is not None and token == job.token and not job.was_acked
            return Unchanged if is_repeat and token is not None else refusal or ErrorCode.NOT_FOUND
        self._note_failure(job)
        if is_cancel or job.is_cancel_requested:
            self._finish(job, S.CANCELLED)
        elif self._is_expired(job) or not may_retry or not self._has_attempts(job):
            self._finish(job, S.DEAD)
        else:
            self._unlease(job, S.RETRYING)
            job.scheduled_at = self.now + self.delay(job)
        return Change

    def release(self, job_id: str, token: str | None, delay: int) -> type[Outcome] | ErrorCode:
        """Give a job back."""
        job = self.jobs.get(job_id)
        refusal = self._guard(job, token)
        if job is None or refusal is not None:
            return refusal or ErrorCode.NOT_FOUND
        if job.is_cancel_requested:
            self._finish(job, S.CANCELLED)
        elif self._is_expired(job):
            self._note_failure(job)
            self._finish(job, S.DEAD)
        else:
            self._unlease(job, S.SCHEDULED if delay else S.PENDING)
            job.token = None
            job.attempt -= 1
            if delay:
                job.scheduled_at = self.now + delay
        return Change

    def heartbeat(self, job_id: str, token: str | None) -> type[Outcome] | ErrorCode:
        """Keep a job."""
        job = self.jobs.get(job_id)
        refusal = self._guard(job, token)
        if job is None or refusal is not None:
            return refusal or ErrorCode.NOT_FOUND
        job.lease_ends = self.now + job.lease_ms
        return Change

    def delay(self, job: Job) -> int:
        """Until the attempt after the present one, before luck adds to it."""
        if job.delay is None:
            return int(min(600_000, 5_000 * 2 ** (job.attempt - 1)))
        return job.delay

    # Operators

    def cancel(self, job_id: str) -> ErrorCode | None:
        """Cancel a job, or ask its worker to."""
        job = self.jobs.get(job_id)
        if job is None:
            return ErrorCode.NOT_FOUND
        if job.state in FINISHED:
            return ErrorCode.INVALID_STATE
        if job.state is S.ACTIVE:
            job.is_cancel_requested = True
        else:
            self._finish(job, S.CANCELLED)
        return None

    def retry(self, job_id: str) -> ErrorCode | None:
        """Run a job again, or now."""
        job = self.jobs.get(job_id)
        if job is None:
            return ErrorCode.NOT_FOUND
        if job.state in (S.PENDING, S.ACTIVE):
            return ErrorCode.INVALID_STATE
        if job.state in FINISHED:
            if self.holder(job.queue, job.unique_key) not in (None, job.id):
                return ErrorCode.INVALID_STATE
            self._lock(job)
            job.attempt = 0
            job.token = None
            job.is_cancel_requested = False
            job.finished_at = None
            if self._is_expired(job):
                job.expire_at = None
        job.state = S.PENDING
        job.scheduled_at = self.now
        return None

    def requeue(self, job_id: str) -> ErrorCode | None:
        """Give a dead job one more attempt."""
        job = self.jobs.get(job_id)
        if job is None:
            return ErrorCode.NOT_FOUND
        attempts = job.attempt
        if job.state is not S.DEAD or self.retry(job_id) is not None:
            return ErrorCode.INVALID_STATE
        job.attempt = attempts
        job.max_retries = attempts + 1
        return None

    def move(self, job_id: str, queue: str) -> ErrorCode | None:
        """Put a job into another queue."""
        job = self.jobs.get(job_id)
        if job is None:
            return ErrorCode.NOT_FOUND
        if job.state is S.ACTIVE:
            return ErrorCode.INVALID_STATE
        if job.queue == queue:
            return None
        if job.state in FINISHED:
            self.queue(queue)
            job.queue = queue
            return None
        if self.holder(queue, job.unique_key) is not None:
            return ErrorCode.INVALID_STATE
        self._unlock(job)
        self.queue(queue)
        job.queue = queue
        self._lock(job)
        return None

    def change_priority(self, job_id: str, priority: int) -> ErrorCode | None:
        """Let a waiting job be served earlier or later."""
        job = self.jobs.get(job_id)
        if job is None:
            return ErrorCode.NOT_FOUND
        if job.state not in WAITING:
            return ErrorCode.INVALID_STATE
        job.place = (priority, job.place[1])
        return None

    def delete(self, job_id: str) -> ErrorCode | None:
        """Remove a job."""
        job = self.jobs.get(job_id)
        if job is None:
            return ErrorCode.NOT_FOUND
        if job.state is S.ACTIVE:
            return ErrorCode.INVALID_STATE
        self._unlock(job)
        self._count_in_batch(job, S.CANCELLED)
        del self.jobs[job_id]
        self.gone.add(job_id)
        return None

    # The server's own work

    def promote(self) -> int:
        """Make what is due pending."""
        due = [
            job
            for job in self.jobs.values()
            if job.state in (S.SCHEDULED, S.RETRYING) and (job.scheduled_at or 0) <= self.now
        ]
        for job in due:
            job.state = S.PENDING
        return len(due)

    def reclaim(self) -> int:
        """Take back what nobody keeps."""
        lapsed = [
            job
            for job in self.jobs.values()
            if job.lease_ends is not None and job.lease_ends <= self.now
        ]
        for job in sorted(lapsed, key=lambda job: job.lease_ends or 0):
            job.token = None
            self._note_failure(job)
            if job.is_cancel_requested:
                self._finish(job, S.CANCELLED)
            elif self._is_expired(job) or not self._has_attempts(job):
                self._finish(job, S.DEAD)
            else:
                self._unlease(job, S.PENDING)
        return len(lapsed)

    def expire(self) -> int:
        """End what was not done in time."""
        late = [job for job in self.jobs.values() if job.state in WAITING and self._is_expired(job)]
        for job in sorted(late, key=lambda job: job.expire_at or 0):
            self._note_failure(job)
            self._finish(job, S.DEAD)
        return len(late)

    def prune(self) -> None:
        """Forget what has been finished for long."""
        for job in list(self.jobs.values()):
            kept = 30 * DAY if job.state is S.DEAD else 7 * DAY
            if job.finished_at is not None and job.finished_at <= self.now - kept:
                del self.jobs[job.id]
                self.gone.add(job.id)
        of_jobs = {job.batch for job in self.jobs.values()}
        for batch_id, batch in list(self.batches.items()):
            ended = batch.finished_at
            if batch_id not in of_jobs and ended is not None and ended <= self.now - 7 * DAY:
                del self.batches[batch_id]

    def add_batch(self, batch_id: str, total: int) -> None:
        """Take in a batch."""
        self.batches[batch_id] = Batch(total)
        self._touched[batch_id] = None

    def settle(self) -> list[str]:
        """The batches that ended with the last commit, in the order of their callbacks."""
        ended = []
        for batch_id in self._touched:
            batch = self.batches[batch_id]
            if batch.finished_at is None and sum(batch.counts.values()) == batch.total:
                batch.finished_at = self.now
                ended.append(batch_id)
        self._touched.clear()
        return ended

    # What these share

    def _guard(self, job: Job | None, token: str | None) -> ErrorCode | None:
        if job is None:
            return ErrorCode.NOT_FOUND
        if token is not None and token != job.token:
            return ErrorCode.LEASE_LOST
        return None if job.state is S.ACTIVE else ErrorCode.INVALID_STATE

    def _has_attempts(self, job: Job) -> bool:
        return job.attempt < max(1, job.max_retries)

    def _is_expired(self, job: Job) -> bool:
        return job.expire_at is not None and job.expire_at <= self.now

    def _note_failure(self, job: Job) -> None:
        job.failures += 1
        self.queues[job.queue].failed += 1

    def _unlease(self, job: Job, state: JobState) -> None:
        job.state = state
        job.lease_ends = None

    def _finish(self, job: Job, state: JobState) -> None:
        self._unlease(job, state)
        job.finished_at = self.now
        self._unlock(job)
        self._count_in_batch(job, state)

    def _count_in_batch(self, job: Job, state: JobState) -> None:
        if job.batch is not None and not job.is_counted:
            job.is_counted = True
            self.batches[job.batch].counts[state] += 1
            self._touched[job.batch] = None

    def _unlock(self, job: Job) -> None:
        if job.unique_key is not None:
            key = (job.queue, job.unique_key)
            if self.locks.get(key, ("", 0))[0] == job.id:
                del self.locks[key]

    def _lock(self, job: Job) -> None:
        if job.unique_key is not None:
            self.locks[job.queue, job.unique_key] = (job.id, self.now + job.unique_period)


def check_head(job: Job, head: JobHead) -> None:
    """The stored job is as it should be."""
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
    )


def check_outcome(outcome: Outcome, expected: type[Outcome] | ErrorCode) -> None:
    """A call had the effect that it should have."""
    if isinstance(expected, ErrorCode):
        assert isinstance(outcome, Refusal), outcome
        assert outcome.code is expected, outcome
    else:
        assert type(outcome) is expected, outcome
