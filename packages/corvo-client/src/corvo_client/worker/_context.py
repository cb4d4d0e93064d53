"""What a handler can learn about its job, and say about it while it runs."""

import asyncio
import logging
import time
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

from corvo_client.worker._leases import Interruption, Lease
from corvo_schema.progress import Progress

_log = logging.getLogger("corvo.job")


STATE_IS_ELSEWHERE: Any = object()
"""The state in a process other than the worker's."""


class JobLogger(logging.LoggerAdapter[logging.Logger]):
    """Puts the job's id before each message, and `job_id`, `queue`, `attempt` into the record."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add what is known of the job to one message; the caller's own `extra` wins."""
        known = dict(self.extra or {})
        kwargs["extra"] = known | (kwargs.get("extra") or {})
        return f"[{known['job_id']}] {msg}", kwargs


class Context:
    """The job that is being run: ask for it by annotating a parameter, or call `current_job()`.

    The same methods serve `async def` and plain handlers; none of them blocks or does I/O.
    `progress` and `checkpoint` note a value that the heartbeat thread sends within about a second.
    """

    __slots__ = ("_lease", "_logger", "_state")

    def __init__(self, lease: Lease, state: Any = None) -> None:
        self._lease = lease
        self._state = state
        self._logger: JobLogger | None = None

    @property
    def id(self) -> str:
        """The job's id."""
        return self._lease.job.job_id

    @property
    def queue(self) -> str:
        """The queue that the job came from."""
        return self._lease.job.queue

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._lease.job.attempt

    @property
    def max_retries(self) -> int:
        """How many attempts the job gets in all; 0 and 1 both mean one."""
        return self._lease.job.max_retries

    @property
    def is_last_attempt(self) -> bool:
        """True when a failure now is final."""
        return self.attempt >= self.max_retries

    @property
    def tags(self) -> Mapping[str, str]:
        """The job's tags."""
        return self._lease.job.tags or {}

    @property
    def payload(self) -> Any:
        """The job's payload as it came, plain JSON data; the handler has it checked and typed."""
        return self._lease.job.payload

    @property
    def traceparent(self) -> str | None:
        """The span that enqueued the job, as in the header of W3C Trace Context."""
        return self._lease.job.traceparent

    @property
    def state(self) -> Any:
        """What the worker's lifespan yielded; None without one.

        Raises RuntimeError in a handler that runs in a process of its own.
        """
        if self._state is STATE_IS_ELSEWHERE:
            raise RuntimeError("the worker's state is in the worker's process, not in this one")
        return self._state

    @property
    def deadline(self) -> datetime:
        """When the lease ends, unless a heartbeat moves it on; each does that gets through."""
        return datetime.now(UTC) + timedelta(seconds=self._lease.ends_at - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """True once the handler should stop; `interruption` says why.

        Async handlers get a `CancelledError` as well. Plain ones have to look, or to call
        `raise_if_cancelled()` now and then.
        """
        return self._lease.interruption is not None

    @property
    def interruption(self) -> Interruption | None:
        """Why the handler should stop: the job was cancelled or lost, or the worker shuts down."""
        return self._lease.interruption

    def raise_if_cancelled(self) -> None:
        """Raise `CancelledError` once the handler should stop.

        That ends a cancelled job as cancelled, and gives it back when the worker shuts down.
        """
        if self._lease.interruption is not None:
            raise asyncio.CancelledError(self._lease.interruption.value)

    @property
    def last_checkpoint(self) -> Any:
        """The last checkpoint of this attempt or, without one, of an earlier attempt; else None."""
        return self._lease.checkpoint

    def checkpoint(self, value: Any) -> None:
        """Note how far the work has come, for an attempt that may follow; any JSON but null.

        It is durable once the next heartbeat has taken it, within about a second, and in any case
        before a failure of this attempt is reported or the job is given back. Should the whole
        process die, what was noted since the last heartbeat is lost. Raises ValueError for what
        JSON cannot hold.
        """
        self._lease.note_checkpoint(value)

    def progress(
        self,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
    ) -> None:
        """Tell onlookers how far the work has come: `current` of `total`, and a line of text.

        Call it as often as you like: only the latest is sent, with the next heartbeat.
        """
        self._lease.note_progress(Progress(current=current, total=total, message=message))

    @property
    def log(self) -> JobLogger:
        """A logger (`corvo.job`) that names the job in each record."""
        if self._logger is None:
            about = {"job_id": self.id, "queue": self.queue, "attempt": self.attempt}
            self._logger = JobLogger(_log, about)
        return self._logger


_current: ContextVar[Context] = ContextVar("corvo_current_job")


def current_job() -> Context:
    """Return the context of the job that is being run. Raises LookupError outside of a handler."""
    try:
        return _current.get()
    except LookupError:
        raise LookupError("no job is being run here: current_job() is for handlers") from None


def enter(context: Context) -> None:
    """Make `current_job()` return `context`, in this asyncio task or `contextvars.Context`."""
    _current.set(context)
