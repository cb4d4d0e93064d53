"""The model of enqueues."""

from typing import NamedTuple

from corvo_server.store.records import Enqueued
from server_support.model.ground import Ground
from server_support.model.parts import Batch, Job, S


class Wanted(NamedTuple):
    """A job to enqueue, as far as it decides whether its request is refused."""

    id: str | None
    queue: str
    payload: str | None
    unique_key: str | None
    on_conflict: str


class Producers(Ground):
    """Enqueues, and their effect on jobs that hold a unique key."""

    def is_refused(self, wanted: list[Wanted]) -> bool | None:
        """Return whether the jobs are refused; None if that depends on pruned events."""
        new_keys = set()
        new: dict[str, Wanted] = {}
        is_known = True
        for job in wanted:
            stored, namesake = self.jobs.get(job.id or ""), new.get(job.id or "")
            if stored is not None:
                if self._is_other(job, stored):
                    return True
                is_known = is_known and self._is_surely_same(job, stored)
                continue
            if namesake is not None:
                if (job.queue, job.payload) != (namesake.queue, namesake.payload):
                    return True
                continue
            key = (job.queue, job.unique_key)
            if job.unique_key is not None and key in new_keys:
                continue
            if self.holder(*key) is not None:
                if job.on_conflict == "error":
                    return True
                continue
            new_keys.add(key)
            if job.id is not None:
                new[job.id] = job
        return False if is_known else None

    def _is_other(self, wanted: Wanted, job: Job) -> bool:
        """Return whether an enqueue with the id of a stored job is refused, events permitting."""
        is_queue_known = wanted.queue in (job.queue, job.first_queue)
        return not is_queue_known or (wanted.payload != job.payload and not job.was_replaced)

    def _is_surely_same(self, wanted: Wanted, job: Job) -> bool:
        is_equal = (wanted.queue, wanted.payload) == (job.queue, job.payload)
        return is_equal or not job.is_history_pruned

    def meet(
        self,
        holder: Job,
        on_conflict: str,
        *,
        priority: int,
        scheduled_at: int | None,
        expire_after: int | None,
        max_retries: int,
        delay: int | None,
        concurrency_key: str | None,
        payload: str | None,
    ) -> str:
        """Apply `on_conflict` to the holder of a unique key. Return the status of the new job."""
        if on_conflict == "ignore" or holder.state is S.ACTIVE:
            return "duplicate"
        holder.state = self._first_state(scheduled_at)
        holder.scheduled_at = scheduled_at
        if on_conflict == "reschedule":
            return "rescheduled"
        holder.place = (priority, holder.place[1])
        holder.attempt = 0
        holder.expire_at = None if expire_after is None else self.now + expire_after
        holder.max_retries = max_retries
        holder.delay = delay
        holder.concurrency_key = concurrency_key
        holder.payload = payload
        holder.was_replaced = True
        return "replaced"

    def add_batch(self, batch_id: str, total: int) -> None:
        """Add a batch."""
        self.batches[batch_id] = Batch(total)
        self._touched[batch_id] = None


def check_enqueued(result: Enqueued, job_id: str | None, status: str, *, is_new: bool) -> None:
    """Assert that the result of one job is as expected. `job_id` is None if the server chose it."""
    assert job_id in (None, result.job_id)
    is_duplicate = status in {"duplicate", "replaced", "rescheduled"}
    assert (result.status, result.is_new, result.is_duplicate) == (status, is_new, is_duplicate)
