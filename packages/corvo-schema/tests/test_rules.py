"""The rules of the life cycle agree with the table of transitions."""

from itertools import product

import pytest

from corvo_schema import (
    ALTERNATIVES,
    FINISHED,
    TRANSITIONS,
    EventType,
    Job,
    JobState,
    OnConflict,
    rules,
)

NOW = 1_000
S, E = JobState, EventType


@pytest.mark.parametrize(
    ("due_at", "state"),
    [(None, S.PENDING), (NOW - 1, S.PENDING), (NOW, S.PENDING), (NOW + 1, S.SCHEDULED)],
)
def test_waiting_state_is_decided_by_the_time(due_at: int | None, state: JobState) -> None:
    assert rules.waiting_state(due_at, NOW) is state
    assert state in {TRANSITIONS[None, E.ENQUEUED], ALTERNATIVES[None, E.ENQUEUED]}


def test_final_states_cover_every_end_of_an_attempt() -> None:
    assert rules.FINAL_STATES == {
        E.COMPLETED: S.COMPLETED,
        E.DEAD: S.DEAD,
        E.EXPIRED: S.DEAD,
        E.CANCELLED: S.CANCELLED,
    }
    assert set(rules.BATCH_COUNTS) == FINISHED


@pytest.mark.parametrize(
    ("attempts_left", "is_expired", "is_cancelled", "event"),
    [
        (1, False, False, E.RETRYING),
        (0, False, False, E.DEAD),
        (1, True, False, E.EXPIRED),
        (0, True, False, E.EXPIRED),
        (1, True, True, E.CANCELLED),
        (0, False, True, E.CANCELLED),
    ],
)
def test_event_of_failure(
    attempts_left: int, is_expired: bool, is_cancelled: bool, event: EventType
) -> None:
    found = rules.event_of_failure(attempts_left, is_expired=is_expired, is_cancelled=is_cancelled)
    assert found is event
    assert (S.ACTIVE, event) in TRANSITIONS


@pytest.mark.parametrize(
    ("is_expired", "is_cancelled", "event"),
    [(False, False, E.RELEASED), (True, False, E.EXPIRED), (True, True, E.CANCELLED)],
)
def test_event_of_release(is_expired: bool, is_cancelled: bool, event: EventType) -> None:
    assert rules.event_of_release(is_expired=is_expired, is_cancelled=is_cancelled) is event
    assert (S.ACTIVE, event) in TRANSITIONS


@pytest.mark.parametrize(
    ("expire_at", "is_expired"), [(None, False), (NOW - 1, True), (NOW, True), (NOW + 1, False)]
)
def test_job_is_expired_from_its_time_on(expire_at: int | None, is_expired: bool) -> None:
    assert rules.is_expired(expire_at, NOW) is is_expired


@pytest.mark.parametrize("state", JobState)
def test_event_of_cancel_is_a_transition_or_none_for_finished_jobs(state: JobState) -> None:
    event = rules.event_of_cancel(state)
    assert (event is None) == (state in FINISHED)
    assert event is None or (state, event) in TRANSITIONS


@pytest.mark.parametrize(("policy", "holder"), [*product(OnConflict, JobState)])
def test_event_of_conflict_is_a_transition(policy: OnConflict, holder: JobState) -> None:
    if holder in FINISHED:
        return  # a finished job holds no unique key
    event = rules.event_of_conflict(policy, holder)
    changes = policy in {OnConflict.REPLACE, OnConflict.RESCHEDULE} and holder is not S.ACTIVE
    assert (event is not None) == changes
    assert event is None or (holder, event) in TRANSITIONS


def test_replaced_fields_are_fields_of_a_job() -> None:
    assert set(rules.REPLACED_FIELDS) < set(Job.model_fields)


def test_error_of_an_expired_job_keeps_that_of_its_attempt() -> None:
    assert rules.expired_error(None) == "expired"
    assert rules.expired_error("boom") == "expired: boom"


def test_repeated_batch_is_the_one_of_a_request_without_new_jobs() -> None:
    assert rules.repeated_batch([(False, None), (False, "b1")]) == "b1"
    assert rules.repeated_batch([(False, "b1"), (True, "b2")]) is None
    assert rules.repeated_batch([(False, None)]) is None


def test_refusals_name_the_job_and_its_state() -> None:
    assert rules.cancel_refusal("job_1", S.DEAD) == (
        "Job job_1 is dead; only a pending, scheduled, retrying or active job can be cancelled."
    )
    assert rules.duplicate_refusal("k", "mail", "job_1", S.ACTIVE) == (
        "The unique key 'k' of queue mail is held by job_1, which is active. Nothing was enqueued."
    )
