"""The state machine as data."""

from corvo_schema import (
    ALTERNATIVES,
    FINISHED,
    TRANSITIONS,
    UNFINISHED,
    ErrorCode,
    EventType,
    JobState,
    Priority,
)


def test_every_state_can_be_reached() -> None:
    reached = {*TRANSITIONS.values(), *ALTERNATIVES.values()}
    assert reached >= set(JobState)


def test_every_event_leads_somewhere() -> None:
    assert {event for _, event in TRANSITIONS} == set(EventType)


def test_every_unfinished_job_can_finish() -> None:
    steps = [*TRANSITIONS.items(), *ALTERNATIVES.items()]
    for state in UNFINISHED:
        seen: set[JobState | None] = {state}
        while new := {to for (source, _), to in steps if source in seen} - seen:
            seen |= new
        assert seen & FINISHED


def test_only_an_ack_completes_a_job() -> None:
    assert {key for key, to in TRANSITIONS.items() if to is JobState.COMPLETED} == {
        (JobState.ACTIVE, EventType.COMPLETED),
        *((JobState.COMPLETED, event) for event in (EventType.MOVED,)),
    }


def test_only_a_fetch_makes_a_job_active() -> None:
    sources = {s for (s, _), to in TRANSITIONS.items() if to is JobState.ACTIVE}
    assert sources == {JobState.PENDING, JobState.ACTIVE}


def test_active_job_is_neither_moved_nor_deleted() -> None:
    assert (JobState.ACTIVE, EventType.MOVED) not in TRANSITIONS
    assert (JobState.ACTIVE, EventType.DELETED) not in TRANSITIONS


def test_alternatives_belong_to_transitions() -> None:
    assert set(ALTERNATIVES) <= set(TRANSITIONS)


def test_finished_and_unfinished_split_the_states() -> None:
    assert set(JobState) == FINISHED | UNFINISHED
    assert not FINISHED & UNFINISHED
    assert [state for state in JobState if state.is_finished] == [
        JobState.COMPLETED,
        JobState.DEAD,
        JobState.CANCELLED,
    ]


def test_priorities_have_labels_in_order() -> None:
    assert [p.label for p in sorted(Priority)] == ["critical", "high", "normal"]


def test_every_error_code_has_a_status() -> None:
    assert all(400 <= code.http_status <= 503 for code in ErrorCode)
