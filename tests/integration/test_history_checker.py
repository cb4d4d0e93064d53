"""The history checker reports every kind of violation."""

from typing import Any

import pytest

from support.api_client import Body
from support.history import Call, History
from support.history_checker import Verdict, check, leases_by_job, recount

JOB = "job_1"
LEASE_MS = 1000


def call(verb: str, body: Body, at: int, answer: Any = None, status: int | None = 200) -> Call:
    """Return a call. Unless `status` is None, its answer came after 1 ms."""
    return Call(verb, body, at, None if status is None else at + 1, status, answer)


def enqueue(status: int | None = 201, request: int = 1) -> Call:
    body = {"queue": "q", "payload": {"request": request, "index": 0}, "job_id": JOB}
    return call("enqueue", body, 0, {"job_id": JOB}, status)


def batch(status: int | None) -> Call:
    jobs = [{"queue": "q", "payload": {"request": 1, "index": index}} for index in range(2)]
    ids = {"job_ids": [JOB, "job_2"]}
    return call("enqueue_batch", {"jobs": jobs}, 0, ids, status)


def fetch(at: int, token: str, attempt: int = 1) -> Call:
    seconds, ms = divmod(at + LEASE_MS, 1000)
    leased = {
        "job_id": JOB,
        "lease_token": token,
        "attempt": attempt,
        "lease_duration": LEASE_MS // 1000,
        "lease_expires_at": f"1970-01-01T00:{seconds // 60:02}:{seconds % 60:02}.{ms:03}Z",
    }
    return call("fetch", {}, at, {"jobs": [leased]})


def outcome(verb: str, at: int, token: str, status: int | None = 200) -> Call:
    body = {"job_id": JOB, "lease_token": token, "result": token, "error": token}
    return call(verb, body, at, {}, status)


def beat(at: int, token: str) -> Call:
    body = {"jobs": {JOB: {"lease_token": token}}}
    return call("heartbeat", body, at, {"jobs": {JOB: {"status": "ok"}}})


def job(
    state: str = "pending", index: int = 0, request: int = 1, result: Any = None, *errors: str
) -> Body:
    return {
        "queue": "q",
        "state": state,
        "payload": {"request": request, "index": index},
        "result": result,
        "errors": [{"error": error} for error in errors],
    }


def check_calls(calls: list[Call], jobs: dict[str, Body]) -> Verdict:
    history = History()
    history.calls = calls
    return check(history, jobs)


def test_a_correct_history_passes() -> None:
    calls = [
        enqueue(),
        fetch(10, "a"),
        outcome("fail", 20, "a"),
        fetch(30, "b", attempt=2),
        beat(900, "b"),
        fetch(2000, "c", attempt=3),
        outcome("ack", 2001, "b", status=409),
        outcome("ack", 2010, "c"),
        outcome("ack", 2020, "c"),
    ]
    assert not check_calls(calls, {JOB: job("completed", 0, 1, "c", "a")}).violations


def test_a_missing_job_is_lost() -> None:
    assert check_calls([enqueue()], {}).lost
    assert check_calls([batch(201)], {JOB: job()}).lost
    assert check_calls([enqueue(None), enqueue(200)], {}).lost
    assert not check_calls([enqueue(None)], {}).violations
    assert not check_calls([enqueue(429)], {}).violations


@pytest.mark.parametrize("state", ["pending", "active", "dead"])
def test_an_acked_job_that_is_not_completed_is_lost(state: str) -> None:
    calls = [enqueue(), fetch(10, "a"), outcome("ack", 20, "a")]
    assert check_calls(calls, {JOB: job(state)}).lost


def test_a_missing_acknowledged_failure_is_lost() -> None:
    calls = [enqueue(), fetch(10, "a"), outcome("fail", 20, "a")]
    assert check_calls(calls, {JOB: job()}).lost


def test_a_partial_batch_is_reported() -> None:
    assert check_calls([batch(None)], {JOB: job()}).partial
    assert check_calls([batch(503)], {JOB: job(), "job_2": job(index=1)}).partial
    assert not check_calls([batch(None)], {JOB: job(), "job_2": job(index=1)}).violations
    assert not check_calls([batch(None)], {}).violations


def test_a_refused_enqueue_that_took_effect_is_reported() -> None:
    assert check_calls([enqueue(429)], {JOB: job()}).partial


def test_a_refused_failure_that_took_effect_is_reported() -> None:
    calls = [enqueue(), fetch(10, "a"), outcome("fail", 20, "a", status=503)]
    assert check_calls(calls, {JOB: job("active", 0, 1, None, "a")}).partial


def test_a_job_that_is_stored_twice_is_reported() -> None:
    assert check_calls([enqueue(), enqueue(200)], {JOB: job(), "job_2": job()}).duplicates


def test_a_job_without_a_request_is_reported() -> None:
    assert check_calls([], {JOB: job()}).duplicates


def test_a_failure_that_is_stored_twice_is_reported() -> None:
    calls = [enqueue(), fetch(10, "a"), outcome("fail", 20, "a"), outcome("fail", 21, "a")]
    assert check_calls(calls, {JOB: job("retrying", 0, 1, None, "a", "a")}).duplicates


def test_a_job_that_is_fetched_after_its_ack_is_reported() -> None:
    calls = [enqueue(), fetch(10, "a"), outcome("ack", 20, "a"), fetch(2000, "b", attempt=2)]
    assert check_calls(calls, {JOB: job("completed", result="a")}).duplicates


def test_a_second_lease_during_the_first_is_reported() -> None:
    calls = [enqueue(), fetch(10, "a"), fetch(500, "b", attempt=2)]
    assert check_calls(calls, {JOB: job("active")}).double_leases
    calls = [enqueue(), fetch(10, "a"), fetch(1010, "b", attempt=2)]
    assert not check_calls(calls, {JOB: job("active")}).violations


def test_a_second_lease_during_an_extended_lease_is_reported() -> None:
    calls = [enqueue(), fetch(10, "a"), beat(900, "a"), fetch(1500, "b", attempt=2)]
    assert check_calls(calls, {JOB: job("active")}).double_leases


def test_one_token_for_two_attempts_is_reported() -> None:
    calls = [enqueue(), fetch(10, "a"), outcome("fail", 20, "a"), fetch(500, "a", attempt=2)]
    assert check_calls(calls, {JOB: job("active", 0, 1, None, "a")}).double_leases


@pytest.mark.parametrize("verb", ["ack", "fail", "release"])
def test_an_accepted_outcome_without_a_lease_is_reported(verb: str) -> None:
    calls = [
        enqueue(),
        fetch(10, "a"),
        fetch(1500, "b", attempt=2),
        outcome(verb, 1600, "a"),
        outcome("ack", 1700, "b"),
    ]
    assert check_calls(calls, {JOB: job("completed", 0, 1, "b", "a")}).double_leases


def test_an_accepted_heartbeat_without_a_lease_is_reported() -> None:
    calls = [enqueue(), fetch(10, "a"), fetch(1500, "b", attempt=2), beat(1600, "a")]
    assert check_calls(calls, {JOB: job("active")}).double_leases


def test_a_result_of_a_refused_ack_is_reported() -> None:
    calls = [enqueue(), fetch(10, "a"), outcome("ack", 20, "a", status=409)]
    assert check_calls(calls, {JOB: job("completed", result="a")}).double_leases


def test_leases_are_sorted_by_time() -> None:
    history = History()
    history.calls = [fetch(500, "b", attempt=2), fetch(10, "a")]
    assert [lease.token for lease in leases_by_job(history)[JOB]] == ["a", "b"]
    assert [lease.granted_at for lease in leases_by_job(history)[JOB]] == [10, 500]


def test_recount_matches_the_counters_of_a_queue() -> None:
    jobs = [job("dead", 0, 1, None, "x", "y"), job("pending", 1)]
    counted = recount(jobs)["q"]
    assert counted == {"dead": 1, "pending": 1, "enqueued": 2, "failed": 2}
