"""The model of the calls of workers, and of the jobs that a fetch gets."""

from collections import Counter
from collections.abc import Sequence

from corvo_schema.errors import ErrorCode
from corvo_server.store.records import Change, LeasedJob, Unchanged
from server_support.model.ground import Ground
from server_support.model.parts import Answer, Job, S


class Workers(Ground):
    """Fetches within the limits of queues, and reports of workers."""

    def next_jobs(self, queues: Sequence[str], count: int, max_bytes: int) -> list[Job]:
        """Return the jobs that a fetch should get, in order.

        It gets one job of any size, and further ones up to the first that exceeds `max_bytes`.
        """
        taken: list[Job] = []
        while len(taken) < count:
            first = [job for name in set(queues) if (job := self._first(name, taken))]
            if not first:
                break
            following = min(first, key=lambda job: job.place)
            if taken and sum(job.size for job in (*taken, following)) > max_bytes:
                break
            taken.append(following)
        return taken

    def _first(self, name: str, taken: list[Job]) -> Job | None:
        """Return the next job of a queue after those in `taken`, or None."""
        queue = self.queues.get(name)
        if queue is None or queue.is_paused or self._room(name, taken) <= 0:
            return None
        ready = [
            job
            for job in self.jobs.values()
            if job.queue == name
            and job.state is S.PENDING
            and job.place[1] > self.covered(name)
            and not self._is_expired(job)
            and job not in taken
        ]
        if queue.max_per_key is None:
            return min(ready, key=lambda job: job.place, default=None)
        active = self._active_by_key(name, taken)

        def rank(job: Job) -> tuple[int, int, int]:
            priority, order = job.place
            return priority, active[job.concurrency_key], order

        fit = [job for job in ready if active[job.concurrency_key] < queue.max_per_key]
        return min(fit, key=rank, default=None)

    def _room(self, name: str, taken: Sequence[Job] = ()) -> int:
        """Return how many more jobs of a queue may start now."""
        queue = self.queues[name]
        room = 1_000_000
        if queue.max_active is not None:
            active = [job for job in self.jobs.values() if job.state is S.ACTIVE]
            room = queue.max_active - sum(job.queue == name for job in active)
        if queue.rate is not None:
            recent = [at for of, at in self.starts if of == name and at > self.now - queue.window]
            room = min(room, queue.rate - len(recent))
        return room - sum(job.queue == name for job in taken)

    def _active_by_key(self, name: str, taken: Sequence[Job] = ()) -> Counter[str | None]:
        """Return the active jobs of a queue by concurrency key; 0 for jobs without a key."""
        active = [*taken, *(job for job in self.jobs.values() if job.state is S.ACTIVE)]
        keys = (job.concurrency_key for job in active if job.queue == name)
        return Counter(key for key in keys if key is not None)

    def start(self, job: Job, leased: LeasedJob, lease_ms: int, *, is_fenced: bool) -> None:
        """Start a job. Assert that its token is new and that the limits of its queue allow it."""
        token = leased.head.lease_token
        assert token is not None
        assert token not in self.tokens
        assert job.state is S.PENDING
        self.tokens.add(token)
        job.state = S.ACTIVE
        job.attempt += 1
        job.lease_ms = lease_ms
        job.lease_ends = self.now + lease_ms
        job.token = token
        job.is_fenced = is_fenced
        job.was_acked = False
        queue = self.queues[job.queue]
        if queue.rate is not None:
            self.starts.append((job.queue, self.now))
        assert self._room(job.queue) >= 0
        if queue.max_per_key is not None and job.concurrency_key is not None:
            assert self._active_by_key(job.queue)[job.concurrency_key] <= queue.max_per_key

    def ack(self, job_id: str, token: str | None) -> Answer:
        """Complete a job."""
        job = self.jobs.get(job_id)
        refusal = self._guard(job, token)
        if job is None or refusal is not None:
            is_repeat = job is not None and token == job.token and job.was_acked
            return Unchanged if is_repeat and token is not None else refusal or ErrorCode.NOT_FOUND
        job.was_acked = True
        self._finish(job, S.COMPLETED)
        return Change

    def fail(self, job_id: str, token: str | None, *, may_retry: bool, is_cancel: bool) -> Answer:
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

    def release(self, job_id: str, token: str | None, delay: int, checkpoint: str | None) -> Answer:
        """Release a job."""
        job = self.jobs.get(job_id)
        refusal = self._guard(job, token)
        if job is None or refusal is not None:
            return refusal or ErrorCode.NOT_FOUND
        self._keep_checkpoint(job, checkpoint)
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

    def heartbeat(self, job_id: str, token: str | None, checkpoint: str | None) -> Answer:
        """Extend the lease of a job."""
        job = self.jobs.get(job_id)
        refusal = self._guard(job, token)
        if job is None or refusal is not None:
            return refusal or ErrorCode.NOT_FOUND
        self._keep_checkpoint(job, checkpoint)
        job.lease_ends = self.now + job.lease_ms
        return Change

    def _keep_checkpoint(self, job: Job, checkpoint: str | None) -> None:
        if checkpoint is not None:
            job.checkpoint = checkpoint

    def delay(self, job: Job) -> int:
        """Return the delay before the next attempt in ms, without the random part."""
        if job.delay is None:
            return int(min(600_000, 5_000 * 2 ** (job.attempt - 1)))
        return job.delay
