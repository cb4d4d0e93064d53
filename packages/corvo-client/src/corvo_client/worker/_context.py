"""Context of a running job: its properties, progress and checkpoints."""

import asyncio
import logging
import time
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

from corvo_client.worker._description import cut
from corvo_client.worker._leases import Interruption, Lease
from corvo_schema.progress import Progress

_log = logging.getLogger("corvo.job")
_MAX_MESSAGE_CHARS = 4_096


STATE_IN_OTHER_PROCESS: Any = object()
"""Marks that the state is not available in this process."""


class JobLogger(logging.LoggerAdapter[logging.Logger]):
    """Logger that adds the job id to messages, and `job_id`, `queue`, `attempt` to records."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the job's fields to one message. The caller's `extra` overrides them."""
        known = dict(self.extra or {})
        kwargs["extra"] = known | (kwargs.get("extra") or {})
        return f"[{known['job_id']}] {msg}", kwargs


class Context:
    """The running job. Annotate a parameter with `Context`, or call `current_job()`.

    All methods work in `async def` and in plain handlers. No method blocks or does I/O: the
    heartbeat thread sends progress and checkpoints within about one second.
    """

    __slots__ = ("_lease", "_logger", "_state")

    def __init__(self, lease: Lease, state: Any = None) -> None:
        self._lease = lease
        self._state = state
        self._logger: JobLogger | None = None

    @property
    def id(self) -> str:
        """Id of the job."""
        return self._lease.job.job_id

    @property
    def queue(self) -> str:
        """Queue of the job."""
        return self._lease.job.queue

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self._lease.job.attempt

    @property
    def max_retries(self) -> int:
        """Maximum number of attempts. 0 and 1 both mean one attempt."""
        return self._lease.job.max_retries

    @property
    def is_last_attempt(self) -> bool:
        """True if the job is not retried after a failure of this attempt."""
        return self.attempt >= self.max_retries

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags of the job."""
        return self._lease.job.tags or {}

    @property
    def payload(self) -> Any:
        """Payload as plain JSON data. The arguments of the handler are validated values."""
        return self._lease.job.payload

    @property
    def traceparent(self) -> str | None:
        """W3C Trace Context header of the span that enqueued the job, or None."""
        return self._lease.job.traceparent

    @property
    def state(self) -> Any:
        """Value of the worker's lifespan, or None without one.

        Raises RuntimeError in a handler with `executor="process"`.
        """
        if self._state is STATE_IN_OTHER_PROCESS:
            raise RuntimeError("Context.state is not available with executor='process'")
        return self._state

    @property
    def deadline(self) -> datetime:
        """Time at which the lease ends. Each successful heartbeat moves it."""
        return datetime.now(UTC) + timedelta(seconds=self._lease.ends_at - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """True if the handler must stop. `interruption` has the reason.

        Async handlers also get a `CancelledError`. Plain handlers must check this property
        regularly, or call `raise_if_cancelled()`.
        """
        return self._lease.interruption is not None

    @property
    def interruption(self) -> Interruption | None:
        """Reason why the handler must stop, or None."""
        return self._lease.interruption

    def raise_if_cancelled(self) -> None:
        """Raise `CancelledError` if the handler must stop.

        The worker then ends a cancelled job as cancelled, and releases the job on a shutdown.
        """
        if self._lease.interruption is not None:
            raise asyncio.CancelledError(self._lease.interruption.value)

    @property
    def last_checkpoint(self) -> Any:
        """Last checkpoint of this attempt or of an earlier attempt, or None."""
        return self._lease.checkpoint

    def checkpoint(self, value: Any) -> None:
        """Store a checkpoint for the next attempt: any JSON value except null.

        The next heartbeat sends it within about one second. The worker also sends it before it
        reports the outcome of the job. If the process dies, checkpoints since the last heartbeat
        are lost. Raises ValueError for a value that JSON cannot express, and after the server has
        rejected an earlier checkpoint of this attempt, e.g. because it is too large.
        """
        if self._lease.rejection is not None:
            raise ValueError(f"the server rejected a checkpoint: {self._lease.rejection}")
        self._lease.note_checkpoint(value)

    def progress(
        self,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
    ) -> None:
        """Report progress: `current` of `total`, and a line of text.

        The call is cheap: only the latest progress is sent, with the next heartbeat or before the
        outcome of the job. A message of more than 4,096 characters is cut.
        """
        if isinstance(message, str):
            message = cut(message, _MAX_MESSAGE_CHARS)
        self._lease.note_progress(Progress(current=current, total=total, message=message))

    @property
    def log(self) -> JobLogger:
        """Logger `corvo.job` that adds the job to each record."""
        if self._logger is None:
            about = {"job_id": self.id, "queue": self.queue, "attempt": self.attempt}
            self._logger = JobLogger(_log, about)
        return self._logger


_current: ContextVar[Context] = ContextVar("corvo_current_job")


def current_job() -> Context:
    """Return the context of the running job. Raises LookupError outside of a handler."""
    try:
        return _current.get()
    except LookupError:
        raise LookupError("there is no running job; call current_job() only in handlers") from None


def enter(context: Context) -> None:
    """Make `current_job()` return `context` in this asyncio task or `contextvars.Context`."""
    _current.set(context)
