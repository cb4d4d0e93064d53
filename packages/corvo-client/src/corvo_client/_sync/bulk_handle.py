# Generated from src/corvo_client/_async/bulk_handle.py by scripts/gen_sync.py. Do not edit.
"""Handle of a bulk operation in the background."""

import time
from collections.abc import Generator
from contextlib import closing

from corvo_client._calls import search as calls
from corvo_client._errors import BulkStopped
from corvo_client._sync.base import Base
from corvo_client._sync.session import Session
from corvo_schema import BulkOperation, BulkStatus

_UNFINISHED = frozenset({BulkStatus.QUEUED, BulkStatus.RUNNING})
_FIRST_PAUSE = 0.05
_MAX_PAUSE = 1.0


class BulkHandle(Base):
    """A bulk operation that runs in the server, whether or not a client waits for it."""

    def __init__(self, session: Session, bulk_id: str) -> None:
        super().__init__(session)
        self.id = bulk_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def status(self) -> BulkOperation:
        """Return the status and the progress of the operation. Raises `NotFound`."""
        return self._send(calls.get_bulk(self.id))

    def wait(self, timeout: float | None = None) -> BulkOperation:
        """Wait until the operation is completed.

        Raises `BulkStopped` if it was cancelled or failed, and `NotFound`. Raises TimeoutError
        after `timeout` seconds; the operation continues then.
        """
        ends_at = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_PAUSE
        while True:
            operation = self.status()
            if operation.status not in _UNFINISHED:
                return _check_completed(operation)
            if ends_at is not None:
                left = ends_at - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"bulk operation {self.id} still runs after {timeout:g} s")
                pause = min(pause, left)
            time.sleep(pause)
            pause = min(pause * 2, _MAX_PAUSE)

    def progress(self) -> Generator[BulkOperation]:
        """Yield the operation now and after each change. The last value has its final status.

        Close the generator if you stop early: that ends the request. Raises `NotFound`.
        """
        with closing(self._follow(calls.follow_bulk(self.id))) as operations:
            for operation in operations:
                yield operation
                if operation.status not in _UNFINISHED:
                    return

    def cancel(self) -> BulkOperation:
        """Cancel the operation. Its changes so far stay. Raises `NotFound`, `InvalidState`."""
        return self._send(calls.cancel_bulk(self.id))


def _check_completed(operation: BulkOperation) -> BulkOperation:
    if operation.status != BulkStatus.COMPLETED:
        raise BulkStopped(operation)
    return operation
