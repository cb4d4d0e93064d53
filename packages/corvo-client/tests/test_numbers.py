"""Any number, duration or time given to a call is accepted, or refused as `ValidationFailed`."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvo_client import ValidationFailed, calls
from corvo_client._calls import attempts
from corvo_schema import ReleaseRequest

JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
FETCH = {"queues": ["q"], "worker_id": "w"}

NUMBERS = (
    st.sampled_from([1e308, -1e308, float("inf"), float("nan"), 5e-324, 10**309, -(10**309)])
    | st.integers()
    | st.floats()
)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.timedeltas() | st.datetimes(timezones=ZONES) | st.datetimes()

CALLS: dict[str, Callable[[Any], object]] = {
    **{
        f"enqueue {name}": lambda value, name=name: calls.enqueue(
            calls.enqueue_request("q", options={name: value})
        )
        for name in (
            *("priority", "unique_period", "max_retries", "retry_base_delay", "retry_max_delay"),
            *("scheduled_at", "delay", "expire_after"),
        )
    },
    "enqueue_batch": lambda value: calls.enqueue_batch([{"queue": "q", "delay": value}], None),
    "fetch timeout": lambda value: attempts.fetch({**FETCH, "timeout": value}),
    "fetch lease_duration": lambda value: attempts.fetch({**FETCH, "lease_duration": value}),
    "fetch_batch count": lambda value: attempts.fetch_batch({**FETCH, "count": value}),
    "release delay": lambda value: attempts.release(JOB_ID, {"delay": value}),
    "search limit": lambda value: calls.search(limit=value),
    "search attempt": lambda value: calls.search({"attempt_min": value}),
    "search time": lambda value: calls.search({"created_after": value}),
    "throttle rate": lambda value: calls.throttle_queue("q", value, "1s"),
    "throttle period": lambda value: calls.throttle_queue("q", 1, value),
    "limit": lambda value: calls.limit_queue("q", value, value),
    "change_priority": lambda value: calls.change_priority(JOB_ID, value),
    "schedule": lambda value: calls.put_schedule(
        calls.schedule_request("s", queue="q", cron="@daily", options={"unique_period": value})
    ),
    "list_batches": lambda value: calls.list_batches(limit=value),
}


@pytest.mark.parametrize("name", CALLS)
@given(value=NUMBERS | TIMES)
def test_any_value_makes_a_call_or_is_refused(name: str, value: object) -> None:
    with suppress(ValidationFailed):
        CALLS[name](value)


@pytest.mark.parametrize("delay", [1e308, -1e308, 10**309, float("inf"), float("nan"), -1])
def test_release_names_a_delay_beyond_all_bounds(delay: float) -> None:
    with pytest.raises(ValidationFailed) as caught:
        attempts.release(JOB_ID, {"delay": delay})
    assert [detail.field for detail in caught.value.details] == ["delay"]


def test_release_sends_seconds_as_a_duration() -> None:
    body = attempts.release(JOB_ID, {"delay": 1.5}).body
    assert body is not None
    assert ReleaseRequest.model_validate_json(body).delay == 1500
