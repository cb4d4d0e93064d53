"""The jobs that a worker holds. Shared by its event loop, its threads and its heartbeat thread."""

import threading
from asyncio import Task
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from pydantic_core import from_json, to_json

from corvo_client.worker._api import HeldJob
from corvo_schema.nesting import is_too_deep, too_deep
from corvo_schema.progress import Progress


class Interruption(StrEnum):
    """Why a handler is asked to stop before it is done."""

    CANCELLED = "cancelled"
    """Somebody cancelled the job."""
    LOST = "lost"
    """The job is no longer this worker's: what its handler still does is not wanted."""
    SHUTDOWN = "shutdown"
    """The worker stops, and its grace period is over."""


def jsonable(value: Any) -> Any:
    """Return a copy of `value` as plain JSON data: models, dates, sets and the like are converted.

    Raises ValueError for what JSON cannot hold, and for what is nested too deeply for the server.
    """
    text = to_json(value)
    if is_too_deep(text):
        raise ValueError(f"it {too_deep()}")
    return from_json(text, allow_inf_nan=False)


class Lease:
    """One job that this worker holds, from the fetch until the server has taken its outcome.

    `duration` is in seconds; `ends_at` is on the worker's monotonic clock and moves with each
    heartbeat that the server took. `checkpoint` is the last one: of this attempt, or what an
    earlier attempt left. `is_running` until there is an outcome. `kill` ends a handler that runs in
    a process of its own. The `unsent_` fields are what the next heartbeat has to say, None for
    nothing new.
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
        "task",
        "unsent_checkpoint",
        "unsent_progress",
    )

    # One for all leases: thousands are made a second, and it is held for a few instructions only.
    _lock = threading.Lock()

    def __init__(self, job: HeldJob, now: float, on_note: Callable[[], None]) -> None:
        self.job = job
        self.duration = job.lease_duration / 1000
        self.ends_at = now + self.duration
        self.checkpoint = job.checkpoint
        self.interruption: Interruption | None = None
        self.has_cancelled_task = False
        self.is_running = True
        self.kill: Callable[[], None] | None = None
        self.on_note = on_note
        self.task: Task[None] | None = None
        self.unsent_checkpoint: Any = None
        self.unsent_progress: Progress | None = None

    def interrupt(self, why: Interruption) -> bool:
        """Note that the handler should stop; tell whether that is news. LOST has precedence.

        Any thread may call it, so that a plain handler learns of it while the loop is blocked.
        """
        is_news = self.interruption is None or (
            why is Interruption.LOST and self.interruption is not why
        )
        if is_news and self.is_running:
            self.interruption = why
            if (kill := self.kill) is not None:
                kill()
            return True
        return False

    def cancel_task(self) -> None:
        """Raise CancelledError in an async handler, once. For the event loop's thread."""
        if self.task is not None and self.is_running and not self.has_cancelled_task:
            self.has_cancelled_task = True
            self.task.cancel()

    def note_checkpoint(self, value: Any) -> None:
        """Keep a copy of `value` for the next heartbeat. Raises ValueError when it is not JSON."""
        copy = jsonable(value)
        with self._lock:
            self.checkpoint = self.unsent_checkpoint = copy
        self.on_note()

    def note_progress(self, progress: Progress) -> None:
        """Keep `progress` for the next heartbeat; only the latest is sent."""
        with self._lock:
            self.unsent_progress = progress
        self.on_note()

    def notes_were_sent(self, checkpoint: Any, progress: Progress | None) -> None:
        """Forget what the server has by now, but not what was noted since it was sent."""
        with self._lock:
            if self.unsent_checkpoint is checkpoint:
                self.unsent_checkpoint = None
            if self.unsent_progress is progress:
                self.unsent_progress = None


class LeaseTable:
    """The leases held, by job id."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self.shortest = float("inf")
        """The shortest lease duration seen, in seconds: it sets the beat of the heartbeat."""

    def __len__(self) -> int:
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        """Iterate over a copy, so that other threads may add and remove meanwhile."""
        return iter(list(self._leases.values()))

    def add(self, lease: Lease) -> Lease | None:
        """Hold a lease; return the earlier one of the same job that it replaces, if there is."""
        stale = self._leases.get(lease.job.job_id)
        self._leases[lease.job.job_id] = lease
        self.shortest = min(self.shortest, lease.duration)
        return stale

    def remove(self, lease: Lease) -> None:
        """Let go of a lease. Nothing happens when it is not held any more."""
        if self.holds(lease):
            del self._leases[lease.job.job_id]

    def holds(self, lease: Lease) -> bool:
        """Tell whether this very lease is held, not a later one of the same job."""
        return self._leases.get(lease.job.job_id) is lease
