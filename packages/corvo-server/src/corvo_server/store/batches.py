"""Records of batches that the engine and a store exchange. Times are in ms since the epoch."""

from msgspec import Struct


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
