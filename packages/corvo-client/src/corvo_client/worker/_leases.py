"""Leases of a worker. Its event loop, its threads and its heartbeat thread share them."""

import threading
from asyncio import Task
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from pydantic_core import from_json, to_json

from corvo_client.worker._api import LeasedJob
from corvo_schema.nesting import is_too_deep, too_deep
from corvo_schema.progress import Progress


class Interruption(StrEnum):
    """Reason why a handler must stop early."""

    CANCELLED = "cancelled"
    """The job was cancelled."""
    LOST = "lost"
    """This worker has lost the lease. The server ignores the outcome of the handler."""
    SHUTDOWN = "shutdown"
    """The worker shuts down, and its grace period is over."""


def jsonable(value: Any) -> Any:
    """Return a copy of `value` as plain JSON data. Models, dates, sets and so on are converted.

    Raises ValueError for a value that JSON cannot express, or that is nested too deeply.
    """
    text = to_json(value)
    if is_too_deep(text):
        raise ValueError(f"it {too_deep()}")
    return from_json(text, allow_inf_nan=False)


class Lease:
    """The lease of one job, from its fetch until the server has accepted its outcome.

    `duration` is in seconds; `ends_at` is a time of the worker's monotonic clock, which each
    successful heartbeat moves. `checkpoint` is the last one of this attempt or of an earlier
    attempt. `is_running` is true until there is an outcome. `kill` kills the process of the
    handler, if it has one. `rejection` says why the server rejected a checkpoint of this attempt;
    None if it did not. The next heartbeat sends the `unsent_` fields that are not None.
    """

    __slots__ = (
        "checkpoint",
        "duration",
        "ends_at",
        "has_cancelled_task",
        "interruption",
        "is_running",
        "job",
        "kill",
        "on_note",
        "rejection",
        "task",
        "unsent_checkpoint",
        "unsent_progress",
    )

    # All leases share one lock. A lock per lease would cost more, and contention is rare.
    _lock = threading.Lock()

    def __init__(self, job: LeasedJob, now: float, on_note: Callable[[], None]) -> None:
        self.job = job
        self.duration = job.lease_duration / 1000
        self.ends_at = now + self.duration
        self.checkpoint = job.checkpoint
        self.interruption: Interruption | None = None
        self.has_cancelled_task = False
        self.is_running = True
        self.kill: Callable[[], None] | None = None
        self.on_note = on_note
        self.rejection: str | None = None
        self.task: Task[None] | None = None
        self.unsent_checkpoint: Any = None
        self.unsent_progress: Progress | None = None

    @property
    def has_notes(self) -> bool:
        """True if the server does not have the last progress or checkpoint."""
        return self.unsent_progress is not None or self.unsent_checkpoint is not None

    def interrupt(self, why: Interruption) -> bool:
        """Set the interruption, and return whether it changed. LOST replaces other reasons.

        Any thread may call this, so that a plain handler stops even if the loop is blocked.
        """
        is_change = self.interruption is None or (
            why is Interruption.LOST and self.interruption is not why
        )
        if is_change and self.is_running:
            self.interruption = why
            if (kill := self.kill) is not None:
                kill()
            return True
        return False

    def cancel_task(self) -> None:
        """Raise CancelledError in an async handler, once. Call it in the event loop's thread."""
        if self.task is not None and self.is_running and not self.has_cancelled_task:
            self.has_cancelled_task = True
            self.task.cancel()

    def note_checkpoint(self, value: Any) -> None:
        """Store a copy of `value` for the next heartbeat. Raises ValueError if it is not JSON."""
        copy = jsonable(value)
        with self._lock:
            self.checkpoint = self.unsent_checkpoint = copy
        self.on_note()

    def note_progress(self, progress: Progress) -> None:
        """Store `progress` for the next heartbeat. Only the latest is sent."""
        with self._lock:
            self.unsent_progress = progress
        self.on_note()

    def clear_sent_notes(self, checkpoint: Any, progress: Progress | None) -> None:
        """Clear notes that the server has accepted. Newer notes stay."""
        with self._lock:
            if self.unsent_checkpoint is checkpoint:
                self.unsent_checkpoint = None
            if self.unsent_progress is progress:
                self.unsent_progress = None


class LeaseTable:
    """Current leases by job id."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self.shortest = float("inf")
        """Shortest lease duration so far, in seconds. It limits the heartbeat interval."""

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        """Iterate over a copy, so that other threads may add and remove leases."""
        return iter(list(self._leases.values()))

    def add(self, lease: Lease) -> Lease | None:
        """Add a lease. Return the older lease of the same job that it replaces, or None."""
        stale = self._leases.get(lease.job.job_id)
        self._leases[lease.job.job_id] = lease
        self.shortest = min(self.shortest, lease.duration)
        return stale

    def remove(self, lease: Lease) -> None:
        """Remove a lease. Do nothing if it was removed or replaced."""
        if self.contains(lease):
            del self._leases[lease.job.job_id]

    def contains(self, lease: Lease) -> bool:
        """Return whether this lease is current. A newer lease of the same job does not count."""
        return self._leases.get(lease.job.job_id) is lease
