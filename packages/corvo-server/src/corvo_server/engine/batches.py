"""Batches."""

from corvo_server.engine.errors import not_found
from corvo_server.store.protocol import Store
from corvo_server.store.records import BatchRecord


class Batches:
    """Verbs on batches."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, batch_id: str) -> BatchRecord:
        """One batch with its counts."""
        record = await self._store.find_batch(batch_id)
        if record is None:
            raise not_found(f"batch {batch_id}")
        return record
