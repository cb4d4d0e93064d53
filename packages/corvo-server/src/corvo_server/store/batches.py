"""Records of batches that the engine and a store exchange. Times are in ms since the epoch."""

from collections.abc import Iterable

from msgspec import Struct

from corvo_server.store.records import Enqueued


class BatchRecord(Struct):
    """A batch with the counts of its ended jobs."""

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
    """Return the batch that an earlier copy of the same request created; None if any job is new.

    A client that lost the reply sends its jobs again with the same ids, so no job is new. A second
    batch would then lead to a second callback.
    """
    batch_id = None
    for job in jobs:
        if job.is_new:
            return None
        batch_id = batch_id or job.batch_id
    return batch_id
