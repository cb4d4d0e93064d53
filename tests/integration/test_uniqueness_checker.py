"""The checker of unique keys reports every kind of violation."""

from typing import Any

import pytest

from corvo_schema.states import EventType
from support.api_client import Body
from support.event_log import LoggedEvent
from support.history import Call, History
from support.uniqueness import QUEUE, key_event_violations, key_violations

JOBS: dict[str, Body] = {name: {"queue": QUEUE, "unique_key": "k"} for name in ("one", "two")}


def call(verb: str, body: Body, at: int, answer: Any, status: int | None = 200) -> Call:
    """Return a call. Unless `status` is None, its answer came after 1 ms."""
    return Call(verb, body, at, None if status is None else at + 1, status, answer)


def enqueue(at: int, name: str, *, is_new: bool = True) -> Call:
    status = "pending" if is_new else "duplicate"
    answer = {"job_id": name, "status": status, "unique_existing": not is_new}
    return call("enqueue_unique", {"unique_key": "k"}, at, answer, 201 if is_new else 200)


def batch(at: int, *names: str) -> Call:
    results = [{"job_id": name, "status": "pending", "unique_existing": False} for name in names]
    body = {"jobs": [{"unique_key": "k"} for _ in names]}
    return call("enqueue_unique_batch", body, at, {"results": results}, 201)


def fetch(at: int, name: str) -> Call:
    return call("fetch", {}, at, {"jobs": [{"job_id": name}]})


def ack(at: int, name: str, status: int | None = 200) -> Call:
    return call("ack", {"job_id": name}, at, {}, status)


def check_calls(*calls: Call) -> list[str]:
    history = History()
    history.calls = list(calls)
    return list(key_violations(history, JOBS))


def test_jobs_that_use_a_key_in_turn_pass() -> None:
    assert not check_calls(
        enqueue(0, "one"),
        enqueue(5, "one", is_new=False),
        fetch(10, "one"),
        ack(20, "one"),
        enqueue(20, "two"),  # may have taken effect after the ack
        enqueue(20, "one", is_new=False),  # may have taken effect before the ack
        fetch(30, "two"),
        ack(40, "two"),
    )


def test_a_job_may_have_ended_by_an_ack_without_an_answer() -> None:
    assert not check_calls(
        enqueue(0, "one"), ack(20, "one", None), enqueue(30, "two"), ack(50, "two")
    )


@pytest.mark.parametrize(
    "calls",
    [
        [enqueue(0, "one"), enqueue(10, "two"), ack(20, "one"), ack(30, "two")],
        [enqueue(0, "one"), enqueue(10, "two")],
        [batch(0, "one", "two")],
        [enqueue(0, "one"), ack(5, "one", 409), fetch(10, "two"), ack(20, "one")],
    ],
    ids=["new", "for ever", "in one batch", "known by a fetch"],
)
def test_two_jobs_with_a_key_are_reported(calls: list[Call]) -> None:
    (sentence,) = check_calls(*calls)
    assert "k has two" in sentence
    assert "but one has had the key" in sentence


def test_an_answer_that_names_an_ended_job_is_reported() -> None:
    (sentence,) = check_calls(enqueue(0, "one"), ack(10, "one"), enqueue(20, "one", is_new=False))
    assert sentence == "an answer named one as the job of its key 9 ms after its end"


def test_a_missing_job_is_reported() -> None:
    (sentence,) = check_calls(enqueue(0, "three"))
    assert sentence == "three was acknowledged as the job of its key but is missing"


def log(*events: tuple[EventType, str]) -> list[LoggedEvent]:
    return [LoggedEvent(number, type_, job, QUEUE, 0) for number, (type_, job) in enumerate(events)]


def test_events_of_jobs_that_use_a_key_in_turn_pass() -> None:
    events = log(
        (EventType.ENQUEUED, "one"),
        (EventType.STARTED, "one"),
        (EventType.RETRYING, "one"),
        (EventType.COMPLETED, "one"),
        (EventType.ENQUEUED, "two"),
        (EventType.ENQUEUED, "of no key"),
    )
    assert not list(key_event_violations(events, JOBS))


def test_events_of_two_jobs_with_a_key_are_reported() -> None:
    events = log(
        (EventType.ENQUEUED, "one"), (EventType.RETRYING, "one"), (EventType.ENQUEUED, "two")
    )
    assert list(key_event_violations(events, JOBS)) == ["event 2: k has the jobs ['one', 'two']"]
