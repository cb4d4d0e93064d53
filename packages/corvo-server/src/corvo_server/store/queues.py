"""Records of queues that the engine and a store exchange. Times are in ms since the epoch."""

from typing import TypeAlias

from msgspec import Struct


class PauseQueue(Struct, frozen=True):
    """Whether a queue hands out jobs; a draining one is paused until it is empty of active jobs."""

    queue: str
    now: int
    is_paused: bool
    is_draining: bool = False


class LimitQueue(Struct, frozen=True):
    """How many jobs of a queue may be active; None lifts the limit."""

    queue: str
    now: int
    max_concurrency: int | None


class LimitKeys(Struct, frozen=True):
    """How many jobs of a queue that share a concurrency key may be active; None lifts the limit."""

    queue: str
    now: int
    max_per_key: int | None


class ThrottleQueue(Struct, frozen=True):
    """How many jobs of a queue may be started in any window of that many ms; None lifts it."""

    queue: str
    now: int
    rate: int | None
    window: int | None


QueueSetting: TypeAlias = PauseQueue | LimitQueue | LimitKeys | ThrottleQueue


class QueueRecord(Struct):
    """A queue: its settings, its jobs by state, and its totals since it was created."""

    name: str
    is_paused: bool
    is_draining: bool
    max_concurrency: int | None
    max_per_key: int | None
    rate_limit: int | None
    rate_window: int | None
    created_at: int
    pending: int
    active: int
    scheduled: int
    retrying: int
    completed: int
    dead: int
    cancelled: int
    enqueued: int
    failed: int
    oldest_pending_at: int | None
