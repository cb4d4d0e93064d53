"""Integer codes of states and backoffs in stored rows. They are on disk: never renumber them."""

from corvo_schema.states import Backoff, EventType, JobState

STATES = (
    JobState.SCHEDULED,
    JobState.PENDING,
    JobState.ACTIVE,
    JobState.RETRYING,
    JobState.COMPLETED,
    JobState.DEAD,
    JobState.CANCELLED,
)
"""States by code. Unfinished states come first, so that SQL can test `state < 4`."""

STATE_CODES = {state: code for code, state in enumerate(STATES)}

STATE_WORDS = {state: state.value for state in STATES}
"""Words of the states. A lookup takes a tenth of the time of `JobState.value`."""

EVENT_WORDS = {kind: kind.value for kind in EventType}
"""Words of the event types, for the same reason: every job has three events."""

BACKOFFS = (Backoff.NONE, Backoff.FIXED, Backoff.LINEAR, Backoff.EXPONENTIAL)

BACKOFF_CODES = {backoff: code for code, backoff in enumerate(BACKOFFS)}
