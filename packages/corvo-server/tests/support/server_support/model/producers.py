"""The model of enqueues."""

from corvo_server.store.records import Enqueued
from server_support.model.ground import Ground
from server_support.model.parts import Batch, Job, S


class Producers(Ground):
    """Enqueues, and their effect on jobs that hold a unique key."""

    def is_refused(self, wanted: list[tuple[str | None, str, str | None, str]]) -> bool:
        """Return whether jobs of these ids, queues, unique keys and `on_conflict` are refused."""
        new_keys = set()
        for given_id, queue, key, on_conflict in wanted:
            if key is None or given_id in self.jobs or (queue, key) in new_keys:
                continue
            if self.holder(queue, key) is None:
                new_keys.add((queue, key))
            elif on_conflict == "error":
                return True
        return False

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
