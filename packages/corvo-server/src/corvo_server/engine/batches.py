"""Verbs on batches: groups of jobs that were enqueued together."""

from collections.abc import Sequence

from msgspec import Struct

from corvo_schema import BatchState, is_batch_id
from corvo_schema.errors import ErrorCode
from corvo_server.auth.scope import Scope
from corvo_server.engine.access import scope_of_caller
from corvo_server.engine.errors import CallError, not_found
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.batches import BatchRecord
from corvo_server.store.protocol import Store

_MAX_READS = 10
"""Number of pages of all batches among which a page of those that the caller sees is looked for."""
_TIME = len("batch_") + 10
"""Length of the start of a batch id that has the time of its creation in ms."""
_LAST_OF_MS = "Z" * 16
"""The rest of an id that sorts after all ids of the same ms."""


class BatchPage(Struct, frozen=True):
    """A page of batches, newest first."""

    batches: list[BatchRecord]
    cursor: str | None
    """Cursor of the next page; None on the last page."""


class Batches(Part):
    """Verbs on batches.

    A caller with a scope sees a batch if its callback queue and the queues of all its jobs that are
    stored are in the scope. A batch of which neither is left belongs to nobody.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @verb
    async def get(self, batch_id: str) -> BatchRecord:
        """Return a batch with its counts. Raise `CallError` if it does not exist."""
        record = await self._store.find_batch(batch_id)
        scope = scope_of_caller()
        if record is not None and scope is not None and not await self._seen([record], scope):
            record = None
        if record is None:
            raise not_found(f"batch {batch_id}")
        return record

    async def _list_seen(
        self, state: BatchState | None, limit: int, cursor: str | None, scope: Scope
    ) -> BatchPage:
        seen: list[BatchRecord] = []
        reads = 0
        first_time = ""
        while True:
            found = await self._store.list_batches(cursor, limit + 1, state)
            seen += await self._seen(found[:limit], scope)
            if len(seen) > limit:
                return BatchPage(seen[:limit], seen[limit - 1].id)
            if len(found) <= limit:
                return BatchPage(seen, None)
            first_time = first_time or found[0].id[:_TIME]
            cursor = found[limit - 1].id
            time = cursor[:_TIME]
            reads += 1
            if reads >= _MAX_READS and time != first_time:
                # The id of a batch that the caller does not see must not become a cursor. So the
                # next page begins with the ms in which the last one that was read was created.
                earlier = [record for record in seen if not record.id.startswith(time)]
                return BatchPage(earlier, time + _LAST_OF_MS)

    async def _seen(self, records: Sequence[BatchRecord], scope: Scope) -> list[BatchRecord]:
        """Return those of the batches that are in the scope."""
        queues = await self._store.queues_of_batches([record.id for record in records])
        for record in records:
            if record.callback_queue is not None:
                queues.setdefault(record.id, set()).add(record.callback_queue)
        return [
            record
            for record in records
            if queues.get(record.id) and not scope.outside(queues[record.id])
        ]

    @verb
    async def list(self, state: BatchState | None, limit: int, cursor: str | None) -> BatchPage:
        """Return a page of at most `limit` batches. `cursor` comes from the previous page.

        A page for a caller with a scope may have fewer batches, or none, and a cursor nevertheless.
        """
        if cursor is not None and not is_batch_id(cursor):
            reason = "was not issued by this server"
            message = f"The cursor {reason}; start again without a cursor."
            raise CallError(ErrorCode.VALIDATION_ERROR, message, [("cursor", reason)])
        scope = scope_of_caller()
        if scope is not None:
            return await self._list_seen(state, limit, cursor, scope)
        found = await self._store.list_batches(cursor, limit + 1, state)
        page = found[:limit]
        return BatchPage(page, page[-1].id if len(found) > limit else None)
