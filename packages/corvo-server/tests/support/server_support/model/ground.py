"""The state of the model, and the rules that all its verbs share."""

from corvo_schema.errors import ErrorCode
from corvo_schema.states import JobState
from server_support.model.parts import Batch, BulkOperation, Job, Queue, S, Schedule


class Ground:
    """The state of a server, and the rules that verbs share."""

    def __init__(self) -> None:
        self.now = 0
        self.jobs: dict[str, Job] = {}
        """Jobs by id, in the order of enqueueing."""
        self.deleted: dict[str, None] = {}
        """Ids of deleted jobs, in the order of deletion."""
        self.reused_ids: set[str] = set()
        """Ids of jobs that reuse the id of a deleted job."""
        self.batches: dict[str, Batch] = {}
        self.queues: dict[str, Queue] = {}
        self.schedules: dict[str, Schedule] = {}
        self.bulks: dict[str, BulkOperation] = {}
        self.locks: dict[tuple[str, str], tuple[str, int]] = {}
        self.starts: list[tuple[str, int]] = []
        """Queue and time of each start in a queue with a rate limit."""
        self.tokens: set[str] = set()
        self._order = 0
        self._touched: dict[str, None] = {}

    def queue(self, name: str) -> Queue:
        """Return a queue. Create it if it does not exist."""
        return self.queues.setdefault(name, Queue())

    def covered(self, name: str) -> int:
        """Return the order of the newest job of a queue that a clear or a delete is deleting."""
        running = [each for each in self.bulks.values() if each.finished_at is None]
        return max((each.last for each in running if each.emptied == name), default=0)

    def holder(self, queue: str, key: str | None) -> str | None:
        """Return the id of the job that holds a unique key now, or None."""
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
        concurrency_key: str | None = None,
        batch: str | None = None,
        payload: str | None = None,
    ) -> Job:
        """Add a new job."""
        assert job_id not in self.jobs
        self._order += 1
        job = Job(
            id=job_id,
            queue=queue,
            place=(priority, self._order),
            state=self._first_state(scheduled_at),
            scheduled_at=scheduled_at,
            expire_at=None if expire_after is None else self.now + expire_after,
            max_retries=max_retries,
            delay=delay,
            unique_key=unique_key,
            unique_period=unique_period,
            concurrency_key=concurrency_key,
            batch=batch,
            payload=payload,
            first_queue=queue,
        )
        self.jobs[job_id] = job
        if job_id in self.deleted:
            del self.deleted[job_id]
            self.reused_ids.add(job_id)
        self.queue(queue).enqueued += 1
        self._lock(job)
        return job

    def settle(self) -> list[str]:
        """Return the batches that ended in the last commit, in the order of their callbacks."""
        ended = []
        for batch_id in self._touched:
            batch = self.batches[batch_id]
            if batch.finished_at is None and sum(batch.counts.values()) == batch.total:
                batch.finished_at = self.now
                ended.append(batch_id)
        self._touched.clear()
        return ended

    # Rules that verbs share

    def _first_state(self, scheduled_at: int | None) -> JobState:
        is_due = scheduled_at is None or scheduled_at <= self.now
        return S.PENDING if is_due else S.SCHEDULED

    def _is_expired(self, job: Job) -> bool:
        return job.expire_at is not None and job.expire_at <= self.now

    def _has_attempts(self, job: Job) -> bool:
        return job.attempt < max(1, job.max_retries)

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

    def _remove(self, job: Job) -> None:
        self._unlock(job)
        self._count_in_batch(job, S.CANCELLED)
        del self.jobs[job.id]
        self.deleted[job.id] = None

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

    def _guard(self, job: Job | None, token: str | None) -> ErrorCode | None:
        if job is None:
            return ErrorCode.NOT_FOUND
        if token is not None and token != job.token:
            return ErrorCode.LEASE_LOST
        if token is None and job.is_fenced and job.state is S.ACTIVE:
            return ErrorCode.LEASE_LOST
        return None if job.state is S.ACTIVE else ErrorCode.INVALID_STATE
