"""The rules of the life cycle agree with the table of transitions."""

from itertools import product
from typing import NamedTuple

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


class Enqueued(NamedTuple):
    is_new: bool
    batch_id: str | None


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
    ("attempt", "expire_at", "may_retry", "is_cancelled", "event"),
    [
        (1, None, True, False, E.RETRYING),
        (2, None, True, False, E.DEAD),
        (1, None, False, False, E.DEAD),
        (1, NOW, True, False, E.EXPIRED),
        (2, NOW, False, False, E.EXPIRED),
        (1, NOW + 1, True, False, E.RETRYING),
        (2, NOW, False, True, E.CANCELLED),
    ],
)
def test_event_of_failure(
    attempt: int, expire_at: int | None, may_retry: bool, is_cancelled: bool, event: EventType
) -> None:
    found = rules.event_of_failure(
        2, attempt, expire_at, NOW, may_retry=may_retry, is_cancelled=is_cancelled
    )
    assert found is event
    assert (S.ACTIVE, event) in TRANSITIONS


@pytest.mark.parametrize(
    ("expire_at", "is_cancelled", "event"),
    [
        (None, False, E.RELEASED),
        (NOW, False, E.EXPIRED),
        (NOW, True, E.CANCELLED),
    ],
)
def test_event_of_release(expire_at: int | None, is_cancelled: bool, event: EventType) -> None:
    assert rules.event_of_release(expire_at, NOW, is_cancelled=is_cancelled) is event
    assert (S.ACTIVE, event) in TRANSITIONS


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
    first, second = Enqueued(is_new=False, batch_id="b1"), Enqueued(is_new=False, batch_id=None)
    assert rules.repeated_batch([second, first]) == "b1"
    assert rules.repeated_batch([first, Enqueued(is_new=True, batch_id="b2")]) is None
    assert rules.repeated_batch([second]) is None


def test_refusals_name_the_job_and_its_state() -> None:
    assert rules.cancel_refusal("job_1", S.DEAD) == (
        "Job job_1 is dead; only a pending, scheduled, retrying or active job can be cancelled."
    )
    assert rules.duplicate_refusal("k", "mail", "job_1", S.ACTIVE) == (
        "The unique key 'k' of queue mail is held by job_1, which is active. Nothing was enqueued."
    )
