"""Verbs on batches: groups of jobs that were enqueued together."""

from msgspec import Struct

from corvo_schema import BatchState, is_batch_id
from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError, not_found
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.batches import (
    BatchRecord,
)
from corvo_server.store.protocol import Store


class BatchPage(Struct, frozen=True):
    """A page of batches, newest first."""

    batches: list[BatchRecord]
    cursor: str | None
    """Cursor of the next page; None on the last page."""


class Batches(Part):
    """Verbs on batches."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @verb
    async def get(self, batch_id: str) -> BatchRecord:
        """Return a batch with its counts. Raise `CallError` if it does not exist."""
        record = await self._store.find_batch(batch_id)
        if record is None:
            raise not_found(f"batch {batch_id}")
        return record

    @verb
    async def list(self, state: BatchState | None, limit: int, cursor: str | None) -> BatchPage:
        """Return a page of at most `limit` batches. `cursor` comes from the previous page."""
        if cursor is not None and not is_batch_id(cursor):
            reason = "was not issued by this server"
            message = f"The cursor {reason}; start again without a cursor."
            raise CallError(ErrorCode.VALIDATION_ERROR, message, [("cursor", reason)])
        found = await self._store.list_batches(cursor, limit + 1, state)
        page = found[:limit]
        return BatchPage(page, page[-1].id if len(found) > limit else None)
