"""The model of the calls of operators on single jobs and queues."""

from corvo_schema.errors import ErrorCode
from corvo_server.store.records import Change, Removal, Unchanged
from server_support.model.ground import Ground
from server_support.model.parts import FINISHED, WAITING, Answer, Queue, S


class Operators(Ground):
    """The calls of operators."""

    def cancel(self, job_id: str) -> Answer:
        """Cancel a job, or request it if the job is active."""
        job = self.jobs.get(job_id)
        if job is None:
            return ErrorCode.NOT_FOUND
        if job.state in FINISHED:
            return ErrorCode.INVALID_STATE
        if job.state is not S.ACTIVE:
            self._finish(job, S.CANCELLED)
        elif job.is_cancel_requested:
            return Unchanged
        else:
            job.is_cancel_requested = True
        return Change

    def retry(self, job_id: str) -> Answer:
        """Make a finished or waiting job pending."""
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
        return Change

    def requeue(self, job_id: str) -> Answer:
        """Give a dead job one more attempt."""
        job = self.jobs.get(job_id)
        if job is None:
            return ErrorCode.NOT_FOUND
        attempts = job.attempt
        if job.state is not S.DEAD or self.retry(job_id) is not Change:
            return ErrorCode.INVALID_STATE
        job.attempt = attempts
        job.max_retries = attempts + 1
        return Change

    def move(self, job_id: str, queue: str) -> Answer:
        """Move a job to another queue."""
        job = self.jobs.get(job_id)
        if job is None:
            return ErrorCode.NOT_FOUND
        if job.state is S.ACTIVE:
            return ErrorCode.INVALID_STATE
        if job.queue == queue:
            return Unchanged
        if job.state in FINISHED:
            self.queue(queue)
            job.queue = queue
            return Change
        if self.holder(queue, job.unique_key) is not None:
            return ErrorCode.INVALID_STATE
        self._unlock(job)
        self.queue(queue)
        job.queue = queue
        self._lock(job)
        return Change

    def change_priority(self, job_id: str, priority: int) -> Answer:
        """Change the priority of a waiting job."""
        job = self.jobs.get(job_id)
        if job is None:
            return ErrorCode.NOT_FOUND
        if job.state not in WAITING:
            return ErrorCode.INVALID_STATE
        if job.place[0] == priority:
            return Unchanged
        job.place = (priority, job.place[1])
        return Change

    def delete(self, job_id: str) -> Answer:
        """Delete a job."""
        job = self.jobs.get(job_id)
        if job is None:
            return ErrorCode.NOT_FOUND
        if job.state is S.ACTIVE:
            return ErrorCode.INVALID_STATE
        self._remove(job)
        return Removal

    # Queues

    def configure(self, verb: str, name: str, *more: int | None) -> None:
        """Pause, resume or drain a queue, or set one of its limits."""
        queue = self.queue(name)
        match verb:
            case "limit":
                (queue.max_active,) = more
            case "limit_keys":
                (queue.max_per_key,) = more
            case "throttle":
                queue.rate, queue.window = more[0], more[1] or 0
            case _:
                queue.is_paused = verb != "resume"
                queue.is_draining = verb == "drain"

    def emptied_states(self, verb: str) -> tuple[S, ...]:
        """Return the states of the jobs that a clear or a delete of a queue deletes."""
        return (S.PENDING, S.SCHEDULED) if verb == "clear" else tuple(S)

    def count_emptied(self, verb: str, name: str) -> int | ErrorCode:
        """Return how many jobs a clear or a delete of a queue should delete."""
        if name not in self.queues:
            return ErrorCode.NOT_FOUND
        of_queue = [job for job in self.jobs.values() if job.queue == name]
        if verb == "delete" and any(job.state is S.ACTIVE for job in of_queue):
            return ErrorCode.INVALID_STATE
        return sum(job.state in self.emptied_states(verb) for job in of_queue)

    def empty(self, verb: str, name: str) -> None:
        """Clear or delete a queue at once."""
        for job in list(self.jobs.values()):
            if job.queue == name and job.state in self.emptied_states(verb):
                self._remove(job)
        if verb == "delete":
            self.remove_queue(name)

    def remove_queue(self, name: str) -> None:
        """Delete a queue, or only its settings if it has jobs."""
        queue = self.queues.pop(name, None)
        if queue is not None and any(job.queue == name for job in self.jobs.values()):
            self.queues[name] = Queue(enqueued=queue.enqueued, failed=queue.failed)
