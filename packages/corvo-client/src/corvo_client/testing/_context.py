"""Context for unit tests of handlers, without a worker and a server."""

import logging
import time
from collections.abc import Mapping
from contextvars import Token
from types import TracebackType
from typing import Any, Self

from corvo_client._options import NO_PAYLOAD
from corvo_client.worker._api import LeasedJob
from corvo_client.worker._context import Context, JobLogger, _current
from corvo_client.worker._leases import Interruption, Lease
from corvo_schema import Progress, new_job_id


class FakeContext(Context):
    """A `Context` that records what a handler does with it.

    Pass it to a handler that has a context. For handlers that call `current_job()`, use it in a
    `with` statement.
    """

    __slots__ = ("_tokens", "checkpoints", "progresses", "records")

    def __init__(self, lease: Lease, state: Any) -> None:
        super().__init__(lease, state)
        self.checkpoints: list[Any] = []
        """Checkpoints in order."""
        self.progresses: list[Progress] = []
        """Progress reports in order."""
        self.records: list[logging.LogRecord] = []
        """Records that the handler logged with `context.log`, of all levels."""
        self._tokens: list[Token[Context]] = []
        self._logger = JobLogger(_make_logger(self.records), self.log.extra)

    def checkpoint(self, value: Any) -> None:
        """Store and record a checkpoint. Raises ValueError for a value that JSON cannot express."""
        super().checkpoint(value)
        self.checkpoints.append(self.last_checkpoint)

    def progress(
        self,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
    ) -> None:
        """Record a progress report."""
        super().progress(current, total, message)
        self.progresses.append(Progress(current=current, total=total, message=message))

    def cancel(self, why: Interruption = Interruption.CANCELLED) -> None:
        """Tell the handler to stop, as a cancellation, a lost lease or a shutdown would.

        `cancelled` is true then, and `raise_if_cancelled` raises. A worker would also raise
        `CancelledError` in an async handler: cancel its asyncio task to test that.
        """
        self._lease.interrupt(why)

    def __enter__(self) -> Self:
        """Make `current_job()` return this context."""
        self._tokens.append(_current.set(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _current.reset(self._tokens.pop())


class _Keeper(logging.Handler):
    """Appends records to a list."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


def _make_logger(records: list[logging.LogRecord]) -> logging.Logger:
    """Return a logger that keeps all records, and passes them on to the handlers of jobs' logs."""
    logger = logging.Logger("corvo.job", logging.NOTSET + 1)
    logger.parent = logging.getLogger("corvo.job")
    logger.addHandler(_Keeper(records))
    return logger


def fake_context(
    payload: Any = NO_PAYLOAD,
    *,
    job_id: str | None = None,
    queue: str = "test",
    attempt: int = 1,
    max_retries: int = 3,
    checkpoint: Any = None,
    tags: Mapping[str, str] | None = None,
    traceparent: str | None = None,
    state: Any = None,
) -> FakeContext:
    """Return a context for the unit test of a handler.

    `checkpoint` is that of an earlier attempt; `state` is the value of the worker's lifespan.
    """
    job = LeasedJob.model_validate(
        {
            "job_id": job_id or new_job_id(),
            "queue": queue,
            "payload": {} if payload is NO_PAYLOAD else payload,
            "attempt": attempt,
            "max_retries": max_retries,
            "lease_duration": 60,
            "checkpoint": checkpoint,
            "tags": dict(tags or {}),
            "lease_token": "fake",
            "traceparent": traceparent,
        }
    )
    return FakeContext(Lease(job, time.monotonic(), lambda: None), state)
