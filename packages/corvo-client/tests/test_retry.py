"""Retry policy."""

import pytest

from corvo_client import (
    NO_RETRIES,
    BadReply,
    CallTimedOut,
    ConnectionFailed,
    ConnectionLost,
    CorvoError,
    InvalidSetting,
    InvalidState,
    OutcomeUnknown,
    Overloaded,
    RetryPolicy,
    ServerError,
    Unavailable,
)
from corvo_client._retry import default_policy

REFUSED = ConnectionFailed("refused")
POLICY = RetryPolicy(max_attempts=10, max_elapsed=30, first_delay=0.1, longest_delay=5)


def pause(error: CorvoError, policy: RetryPolicy = POLICY, **given: float) -> float | None:
    arguments = {"attempt": 1, "elapsed": 0.0, "draw": 1.0} | given
    repeatable = bool(arguments.pop("repeatable", 0))
    return policy.pause(error, repeatable=repeatable, **arguments)  # type: ignore[arg-type]


def test_bound_of_the_delay_doubles_up_to_the_maximum() -> None:
    delays = [pause(REFUSED, attempt=n) for n in range(1, 9)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]


def test_delay_is_random_from_zero_to_the_bound() -> None:
    assert pause(REFUSED, draw=0) == 0
    assert pause(REFUSED, attempt=3, draw=0.5) == 0.2


def test_attempts_are_limited() -> None:
    assert pause(REFUSED, attempt=9) is not None
    assert pause(REFUSED, attempt=10) is None
    assert pause(REFUSED, NO_RETRIES) is None


def test_time_is_limited() -> None:
    assert pause(REFUSED, elapsed=29.9) == 0.1
    assert pause(REFUSED, elapsed=29.95) is None
    patient = Unavailable("later", code="UNAVAILABLE", status=503, retry_after=29.5)
    assert pause(patient) == 29.6
    assert pause(patient, elapsed=1) is None


def test_the_default_is_short_and_the_environment_changes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CORVO_RETRY_SECONDS", raising=False)
    assert (default_policy().max_elapsed, RetryPolicy().max_elapsed) == (5, 5)
    for text, seconds in (("", 5), ("0", 0), ("30", 30), ("2.5", 2.5)):
        monkeypatch.setenv("CORVO_RETRY_SECONDS", text)
        assert default_policy().max_elapsed == seconds
    for text in ("-1", "nan", "inf", "30s", "for ever"):
        monkeypatch.setenv("CORVO_RETRY_SECONDS", text)
        with pytest.raises(InvalidSetting, match="CORVO_RETRY_SECONDS must be a number of sec"):
            default_policy()


@pytest.mark.parametrize(
    ("error", "repeatable", "is_repeated"),
    [
        (REFUSED, False, True),
        (Overloaded("full", code="OVERLOADED", status=429), False, True),
        (Unavailable("bye", code="UNAVAILABLE", status=503), False, True),
        (Unavailable("proxy", code="", status=503), False, False),
        (Unavailable("new", code="A_NEW_CODE", status=503), False, False),
        (OutcomeUnknown("who knows", code="OUTCOME_UNKNOWN", status=500), False, False),
        (OutcomeUnknown("who knows", code="OUTCOME_UNKNOWN", status=500), True, True),
        (Unavailable("proxy", code="", status=502), True, True),
        (ConnectionLost("reset"), False, False),
        (ConnectionLost("reset"), True, True),
        (CallTimedOut("slow"), False, False),
        (CallTimedOut("slow"), True, True),
        (BadReply("html"), True, False),
        (InvalidState("dead", code="INVALID_STATE", status=409), True, False),
        (ServerError("bug", code="INTERNAL_ERROR", status=500), True, False),
    ],
)
def test_only_temporary_failures_are_retried_without_a_second_effect(
    error: CorvoError, repeatable: bool, is_repeated: bool
) -> None:
    assert (pause(error, repeatable=repeatable) is not None) is is_repeated


def test_an_attempt_takes_what_is_left_of_the_policy() -> None:
    policy = RetryPolicy(max_elapsed=5)
    assert policy.attempt_limit(300_000, 0) == 5
    assert policy.attempt_limit(0, 3.5) == 1.5
    assert policy.attempt_limit(0, 4.9) == policy.attempt_limit(0, 7) == 1
    assert policy.attempt_limit(4_000_000, 0) == 9
