"""Bulk operations: an action on many jobs, at once or chunk by chunk."""

from collections.abc import Callable, Iterable

from corvo_schema.errors import ErrorCode
from corvo_server.store.records import Change, Removal
from server_support.model.operators import Operators
from server_support.model.parts import FINISHED, Action, Answer, BulkOperation, Job


class Bulk(Operators):
    """The model of bulk operations."""

    def action(self, name: str, *more: object, is_bulk: bool = False) -> Action:
        """Return the function that applies an action to one job."""
        verb = getattr(self, "retry_finished" if is_bulk and name == "retry" else name)
        return lambda job_id: verb(job_id, *more)

    def retry_finished(self, job_id: str) -> Answer:
        """Retry a job. Unlike `retry`, refuse jobs that are not finished."""
        job = self.jobs.get(job_id)
        if job is not None and job.state not in FINISHED:
            return ErrorCode.INVALID_STATE
        return self.retry(job_id)

    def matching(self, is_meant: Callable[[Job], bool], after: int = 0) -> list[Job]:
        """Return the matching jobs enqueued after the order `after`, oldest first."""
        return [job for job in self.jobs.values() if job.place[1] > after and is_meant(job)]

    def act_on(self, act: Action, job_ids: Iterable[str]) -> tuple[int, int, int]:
        """Apply `act` to all jobs. Return how many there were, changed, and refused."""
        answers = [act(job_id) for job_id in job_ids]
        changed = sum(answer in (Change, Removal) for answer in answers)
        refused = sum(isinstance(answer, ErrorCode) for answer in answers)
        return len(answers), changed, refused

    def begin_bulk(
        self,
        bulk_id: str,
        act: Action,
        job_ids: list[str] | None,
        is_meant: Callable[[Job], bool],
    ) -> BulkOperation:
        """Create a bulk operation in the background."""
        total = len(self.matching(is_meant)) if job_ids is None else len(job_ids)
        operation = BulkOperation(bulk_id, act, job_ids, is_meant, total, self._order)
        self.bulks[bulk_id] = operation
        return operation

    def begin_emptying(self, bulk_id: str, verb: str, name: str) -> None:
        """Create the bulk operation that clears or deletes a queue."""
        states = self.emptied_states(verb)
        operation = self.begin_bulk(
            bulk_id, self.delete, None, lambda job: job.queue == name and job.state in states
        )
        operation.emptied = name
        operation.is_queue_deleted = verb == "delete"

    def step_bulk(self, chunk: int) -> bool:
        """Apply the next chunk of the oldest running operation. Return False if none is running."""
        operation = next((each for each in self.bulks.values() if each.finished_at is None), None)
        if operation is None:
            return False
        if operation.job_ids is None:
            found = self.matching(operation.is_meant, operation.cursor)
            jobs = [job for job in found if job.place[1] <= operation.last][:chunk]
            job_ids, is_last = [job.id for job in jobs], len(jobs) < chunk
            operation.cursor = jobs[-1].place[1] if jobs else operation.cursor
        else:
            job_ids = operation.job_ids[operation.cursor :][:chunk]
            operation.cursor += chunk
            is_last = operation.cursor >= len(operation.job_ids)
        done, changed, refused = self.act_on(operation.act, job_ids)
        operation.processed += done
        operation.affected += changed
        operation.errors += refused
        operation.status = "completed" if is_last else "running"
        operation.finished_at = self.now if is_last else None
        if is_last and operation.is_queue_deleted and operation.emptied is not None:
            self.remove_queue(operation.emptied)
        return True

    def cancel_bulk(self, bulk_id: str) -> ErrorCode | None:
        """Cancel a bulk operation."""
        operation = self.bulks.get(bulk_id)
        if operation is None:
            return ErrorCode.NOT_FOUND
        if operation.finished_at is not None:
            return ErrorCode.INVALID_STATE
        operation.status, operation.finished_at = "cancelled", self.now
        return None
