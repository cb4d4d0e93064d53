"""What producers may do."""

from corvo_server.store.records import Enqueued
from server_support.model.ground import Ground
from server_support.model.parts import Batch, Job, S


class Producers(Ground):
    """Enqueueing, and what becomes of the job that holds a unique key already."""

    def is_refused(self, wanted: list[tuple[str | None, str, str | None, str]]) -> bool:
        """Whether a request with jobs of these ids, queues, unique keys and `on_conflict` is."""
        mine = set()
        for given_id, queue, key, on_conflict in wanted:
            if key is None or given_id in self.jobs or (queue, key) in mine:
                continue
            if self.holder(queue, key) is None:
                mine.add((queue, key))
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
        """What a job of another request does to the one that holds its unique key."""
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
        """Take in a batch."""
        self.batches[batch_id] = Batch(total)
        self._touched[batch_id] = None


def check_enqueued(result: Enqueued, job_id: str | None, status: str, *, is_new: bool) -> None:
    """One job of an enqueue was answered as it should be; None for an id that is the server's."""
    assert job_id in (None, result.job_id)
    is_duplicate = status in {"duplicate", "replaced", "rescheduled"}
    assert (result.status, result.is_new, result.is_duplicate) == (status, is_new, is_duplicate)
