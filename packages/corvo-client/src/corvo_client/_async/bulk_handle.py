"""A bulk operation in the background, as a thing to wait for."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from corvo_client._async.base import AsyncBase
from corvo_client._async.session import AsyncSession
from corvo_client._calls import search as calls
from corvo_client._errors import BulkStopped
from corvo_schema import BulkOperation, BulkStatus

_UNENDED = frozenset({BulkStatus.QUEUED, BulkStatus.RUNNING})
_FIRST_LOOK = 0.05
_LONGEST_PAUSE = 1.0


class AsyncBulkHandle(AsyncBase):
    """A bulk operation that goes on in the server, whether anybody waits for it or not."""

    def __init__(self, session: AsyncSession, bulk_id: str) -> None:
        super().__init__(session)
        self.id = bulk_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    async def status(self) -> BulkOperation:
        """Return how far it is. Raises `NotFound`."""
        return await self._send(calls.get_bulk(self.id))

    async def wait(self, timeout: float | None = None) -> BulkOperation:  # noqa: ASYNC109 - as in sync code
        """Return when it has done its work.

        Raises `BulkStopped` when it was cancelled or failed, TimeoutError after `timeout` seconds
        (it goes on then), and `NotFound`.
        """
        ends_at = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_LOOK
        while True:
            operation = await self.status()
            if operation.status not in _UNENDED:
                return _done(operation)
            if ends_at is not None:
                left = ends_at - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"bulk operation {self.id} goes on after {timeout:g} s")
                pause = min(pause, left)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def progress(self) -> AsyncGenerator[BulkOperation]:
        """Yield how far it is, now and whenever it has got further; the last is how it ended.

        Raises `NotFound`. Whoever stops early should close the generator.
        """
        async with aclosing(self._follow(calls.follow_bulk(self.id))) as operations:
            async for operation in operations:
                yield operation
                if operation.status not in _UNENDED:
                    return

    async def cancel(self) -> BulkOperation:
        """Stop it; what it has done stays. Raises `NotFound`; `InvalidState` when it has ended."""
        return await self._send(calls.cancel_bulk(self.id))


def _done(operation: BulkOperation) -> BulkOperation:
    if operation.status != BulkStatus.COMPLETED:
        raise BulkStopped(operation)
    return operation
