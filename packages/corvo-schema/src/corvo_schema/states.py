"""The states of a job, its events, and the transitions between the states.

`TRANSITIONS` is the state machine as data. Tests compare the server's lifecycle rules with it, and
the diagram in the documentation is made from it.
"""

from enum import IntEnum, StrEnum

_LARGEST_SHIFT = 62


class JobState(StrEnum):
    """State of a job. The values are the words on the wire."""

    PENDING = "pending"
    ACTIVE = "active"
    COMPLETED = "completed"
    RETRYING = "retrying"
    DEAD = "dead"
    CANCELLED = "cancelled"
    SCHEDULED = "scheduled"

    is_finished: bool
    """Whether no attempt follows, unless a caller retries or requeues the job."""

    def __init__(self, word: str) -> None:
        # Stored instead of computed, because the server reads it several times per job.
        self.is_finished = word in {"completed", "dead", "cancelled"}


FINISHED = frozenset(state for state in JobState if state.is_finished)
UNFINISHED = frozenset(set(JobState) - FINISHED)


class Priority(IntEnum):
    """Priority of a job. Within a fetch, jobs with the smaller number are served first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2

    label: str
    """Name on the wire."""

    def __init__(self, _: int) -> None:
        self.label = self.name.lower()


class Backoff(StrEnum):
    """Growth of the delay between attempts."""

    NONE = "none"
    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"

    def delay(self, base: int, most: int, attempt: int) -> int:
        """Return the delay after the failed attempt number `attempt` (from 1), without jitter.

        The delay is at most `most`. All delays have the same unit.
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
    """Type of an event in the event log and in `GET /events`."""

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
    """What an enqueue does if a live job holds its unique key."""

    IGNORE = "ignore"
    """Enqueue nothing. The reply names the live job."""
    REPLACE = "replace"
    """Give the live job the new payload, priority, times and retry settings, if it is waiting."""
    RESCHEDULE = "reschedule"
    """Give the live job the new time, if it is waiting."""
    ERROR = "error"
    """Refuse the enqueue and its whole batch."""


_S, _E = JobState, EventType
_WAITING = (_S.PENDING, _S.SCHEDULED, _S.RETRYING)

TRANSITIONS: dict[tuple[JobState | None, EventType], JobState | None] = {
    (None, _E.ENQUEUED): _S.PENDING,  # SCHEDULED if its time is in the future
    (_S.SCHEDULED, _E.PROMOTED): _S.PENDING,
    (_S.RETRYING, _E.PROMOTED): _S.PENDING,
    (_S.PENDING, _E.STARTED): _S.ACTIVE,
    (_S.ACTIVE, _E.PROGRESS): _S.ACTIVE,
    (_S.ACTIVE, _E.COMPLETED): _S.COMPLETED,
    (_S.ACTIVE, _E.RETRYING): _S.RETRYING,
    (_S.ACTIVE, _E.DEAD): _S.DEAD,
    (_S.ACTIVE, _E.RECLAIMED): _S.PENDING,
    (_S.ACTIVE, _E.RELEASED): _S.PENDING,  # SCHEDULED if it is released with a delay
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
"""(state before, event) → state after. None means that the job does not exist."""

ALTERNATIVES: dict[tuple[JobState | None, EventType], JobState] = {
    (None, _E.ENQUEUED): _S.SCHEDULED,
    (_S.ACTIVE, _E.RELEASED): _S.SCHEDULED,
    **{(state, _E.REPLACED): _S.SCHEDULED for state in _WAITING},
    **{(state, _E.RESCHEDULED): _S.SCHEDULED for state in _WAITING},
}
"""The second possible state after, for transitions that depend on a time in the call."""
