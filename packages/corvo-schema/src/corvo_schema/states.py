"""What a job can be, what can happen to it, and which happening leads where.

`TRANSITIONS` is the state machine of the product as data. The server's lifecycle rules are tested
against it, and the documentation's diagram is drawn from it.
"""

from enum import IntEnum, StrEnum

_LARGEST_SHIFT = 62


class JobState(StrEnum):
    """Where a job stands. Values are the words of the wire."""

    PENDING = "pending"
    ACTIVE = "active"
    COMPLETED = "completed"
    RETRYING = "retrying"
    DEAD = "dead"
    CANCELLED = "cancelled"
    SCHEDULED = "scheduled"

    is_finished: bool
    """True when nothing more happens to the job unless somebody asks for it."""

    def __init__(self, word: str) -> None:
        # Kept, not worked out: the server asks several times a job.
        self.is_finished = word in {"completed", "dead", "cancelled"}


FINISHED = frozenset(state for state in JobState if state.is_finished)
UNFINISHED = frozenset(set(JobState) - FINISHED)


class Priority(IntEnum):
    """Order among jobs of the queues a fetch names; the smaller number is served first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2

    label: str
    """The name used on the wire."""

    def __init__(self, _: int) -> None:
        self.label = self.name.lower()


class Backoff(StrEnum):
    """How the delay before the next attempt grows."""

    NONE = "none"
    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"

    def delay(self, base: int, most: int, attempt: int) -> int:
        """Return the delay after the failed attempt of this number (from 1), before any jitter.

        In the unit of `base` and of `most`, which caps it.
        """
        match self:
            case Backoff.NONE:
                return 0
            case Backoff.FIXED:
                delay = base
            case Backoff.LINEAR:
                delay = base * attempt
            case Backoff.EXPONENTIAL:
                delay = base << min(attempt - 1, _LARGEST_SHIFT)
        return min(delay, most)


class EventType(StrEnum):
    """What happened to a job, as it stands in the event log and in `GET /events`."""

    ENQUEUED = "enqueued"
    PROMOTED = "promoted"
    STARTED = "started"
    PROGRESS = "progress"
    COMPLETED = "completed"
    RETRYING = "retrying"
    DEAD = "dead"
    RECLAIMED = "reclaimed"
    RELEASED = "released"
    EXPIRED = "expired"
    CANCEL_REQUESTED = "cancel_requested"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    REQUEUED = "requeued"
    REPLACED = "replaced"
    RESCHEDULED = "rescheduled"
    MOVED = "moved"
    PRIORITY_CHANGED = "priority_changed"
    DELETED = "deleted"
    PRUNED = "pruned"


class OnConflict(StrEnum):
    """What an enqueue does when a live job holds its unique key."""

    IGNORE = "ignore"
    """Nothing; the answer names the job that is there."""
    REPLACE = "replace"
    """Give a waiting job the payload, priority, times and retry settings of the new one."""
    RESCHEDULE = "reschedule"
    """Give a waiting job the time of the new one."""
    ERROR = "error"
    """Refuse the enqueue, and with it its batch."""


_S, _E = JobState, EventType
_WAITING = (_S.PENDING, _S.SCHEDULED, _S.RETRYING)

TRANSITIONS: dict[tuple[JobState | None, EventType], JobState | None] = {
    (None, _E.ENQUEUED): _S.PENDING,  # SCHEDULED when its time is still to come
    (_S.SCHEDULED, _E.PROMOTED): _S.PENDING,
    (_S.RETRYING, _E.PROMOTED): _S.PENDING,
    (_S.PENDING, _E.STARTED): _S.ACTIVE,
    (_S.ACTIVE, _E.PROGRESS): _S.ACTIVE,
    (_S.ACTIVE, _E.COMPLETED): _S.COMPLETED,
    (_S.ACTIVE, _E.RETRYING): _S.RETRYING,
    (_S.ACTIVE, _E.DEAD): _S.DEAD,
    (_S.ACTIVE, _E.RECLAIMED): _S.PENDING,
    (_S.ACTIVE, _E.RELEASED): _S.PENDING,  # SCHEDULED when it was released with a delay
    (_S.ACTIVE, _E.CANCEL_REQUESTED): _S.ACTIVE,
    (_S.ACTIVE, _E.CANCELLED): _S.CANCELLED,
    **{(state, _E.EXPIRED): _S.DEAD for state in JobState if state in UNFINISHED},
    **{(state, _E.CANCELLED): _S.CANCELLED for state in JobState if state in UNFINISHED},
    **{
        (state, _E.RETRIED): _S.PENDING
        for state in JobState
        if state not in (_S.ACTIVE, _S.PENDING)
    },
    **{(state, _E.REPLACED): _S.PENDING for state in _WAITING},
    **{(state, _E.RESCHEDULED): _S.PENDING for state in _WAITING},
    (_S.DEAD, _E.REQUEUED): _S.PENDING,
    **{(state, _E.MOVED): state for state in JobState if state is not _S.ACTIVE},
    **{(state, _E.PRIORITY_CHANGED): state for state in _WAITING},
    **{(state, _E.DELETED): None for state in JobState if state is not _S.ACTIVE},
    **{(state, _E.PRUNED): None for state in JobState if state in FINISHED},
}
"""(state before, what happened) → state after; None before birth and after removal."""

ALTERNATIVES: dict[tuple[JobState | None, EventType], JobState] = {
    (None, _E.ENQUEUED): _S.SCHEDULED,
    (_S.ACTIVE, _E.RELEASED): _S.SCHEDULED,
    **{(state, _E.REPLACED): _S.SCHEDULED for state in _WAITING},
    **{(state, _E.RESCHEDULED): _S.SCHEDULED for state in _WAITING},
}
"""The second possible state after, where the time given with the call decides."""
