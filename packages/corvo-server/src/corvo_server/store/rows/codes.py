"""The small integers that stand for words in the stores' rows. Written to disk: never renumber."""

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
"""State by its code. Unfinished ones come first: in SQL, `state < 4`."""

STATE_CODES = {state: code for code, state in enumerate(STATES)}

STATE_WORDS = {state: state.value for state in STATES}
"""`value` of an enum takes ten times as long as a look here."""

EVENT_WORDS = {kind: kind.value for kind in EventType}
"""Likewise, and every job has three events."""

BACKOFFS = (Backoff.NONE, Backoff.FIXED, Backoff.LINEAR, Backoff.EXPONENTIAL)

BACKOFF_CODES = {backoff: code for code, backoff in enumerate(BACKOFFS)}
