"""Records of queues that the engine and a store exchange. Times are in ms since the epoch."""

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

from corvo_server.store.audit import Audit
from corvo_server.store.options import JobOptions


class PauseQueue(Struct, frozen=True):
    """A request to pause, drain or resume a queue. A draining queue is also paused."""

    queue: str
    now: int
    is_paused: bool
    is_draining: bool = False


class LimitQueue(Struct, frozen=True):
    """A request to limit the active jobs of a queue; None removes the limit."""

    queue: str
    now: int
    max_concurrency: int | None


class LimitKeys(Struct, frozen=True):
    """A request to limit the active jobs per concurrency key; None removes the limit."""

    queue: str
    now: int
    max_per_key: int | None


class ThrottleQueue(Struct, frozen=True):
    """A request to set the rate limit of a queue; None removes it."""

    queue: str
    now: int
    rate: int | None
    """Largest number of jobs that may start in any window."""
    window: int | None
    """Length of the window in ms."""


class SetDefaults(Struct, frozen=True):
    """A request to replace the defaults of a queue; None for both texts removes them."""

    queue: str
    now: int
    options: str | None
    """JSON text of `JobOptions`."""
    payload_schema: str | None
    """JSON text."""


class QueueSettings(Struct, frozen=True):
    """The stored settings of a queue. `defaults` and `payload_schema` are JSON text."""

    is_paused: bool = False
    is_draining: bool = False
    max_concurrency: int | None = None
    max_per_key: int | None = None
    rate_limit: int | None = None
    rate_window: int | None = None
    defaults: str | None = None
    payload_schema: str | None = None


class ConfigureQueue(Struct, frozen=True):
    """A request to change settings, all or none; with `audit`, of one queue."""

    settings: "Sequence[QueueSetting]"
    audit: Audit | None = None


QueueSetting: TypeAlias = PauseQueue | LimitQueue | LimitKeys | ThrottleQueue | SetDefaults


class QueueDefaults(Struct, frozen=True):
    """The defaults of a queue. `payload_schema` is JSON text."""

    options: JobOptions
    payload_schema: str | None
    updated_at: int


class QueueRecord(Struct):
    """A queue: its settings, its number of jobs by state, and its totals since its creation."""

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
    """Number of jobs ever enqueued."""
    failed: int
    """Number of attempts ever failed."""
    oldest_pending_at: int | None
    """Earliest time at which a pending job became pending; None if no job is pending."""
    defaults: QueueDefaults | None = None
    """Only in the record of a single queue."""
