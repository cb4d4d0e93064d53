"""Records of batches that the engine and a store exchange. Times are in ms since the epoch."""

from collections.abc import Iterable

from msgspec import Struct

from corvo_server.store.records import Enqueued


class BatchRecord(Struct):
    """A batch and how far it has got."""

    id: str
    total: int
    succeeded: int
    failed: int
    cancelled: int
    callback_queue: str | None
    callback_job_id: str | None
    created_at: int
    finished_at: int | None


def repeated_batch(jobs: Iterable[Enqueued]) -> str | None:
    """The batch that an earlier sending of the same request made; None if this is the first.

    A client whose answer was lost sends its jobs again, by the ids that it gave them: none is new
    then, and a second batch would bring a second callback.
    """
    batch_id = None
    for job in jobs:
        if job.is_new:
            return None
        batch_id = batch_id or job.batch_id
    return batch_id
