"""Values that the request models accept and refuse, field by field."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from corvo_schema import (
    AckBatchRequest,
    Backoff,
    BulkAction,
    BulkGetRequest,
    BulkRequest,
    ConcurrencyRequest,
    EnqueueBatchRequest,
    EnqueueRequest,
    FailRequest,
    FetchBatchRequest,
    FetchRequest,
    HeartbeatRequest,
    JobState,
    Misfire,
    Priority,
    ReleaseRequest,
    ScheduleRequest,
    SearchFilter,
    SearchRequest,
    ThrottleRequest,
    details_of,
    is_queue_name,
)
from corvo_schema._base import RequestModel

JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
FETCH = {"queues": ["a"], "worker_id": "w"}
SCHEDULE = {"name": "n", "queue": "q", "cron": "@daily"}


def refuse(model: type[RequestModel], body: Any, **options: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(body, **options)
    return [(detail.field, detail.message) for detail in details_of(caught.value)]


@pytest.mark.parametrize(
    ("field", "given", "value"),
    [
        ("payload", None, None),
        ("payload", [1, "x", {"y": 2**80}], [1, "x", {"y": 2**80}]),
        ("queue", "A-z_0.9:/", "A-z_0.9:/"),
        ("queue", "q" * 255, "q" * 255),
        ("priority", "critical", Priority.CRITICAL),
        ("priority", 1, Priority.HIGH),
        ("priority", Priority.NORMAL, Priority.NORMAL),
        ("unique_key", "ключ ✓", "ключ ✓"),
        ("unique_key", None, None),
        ("unique_period", 60, 60_000),
        ("unique_period", "1h", 3_600_000),
        ("max_retries", 0, 0),
        ("max_retries", 5.0, 5),
        ("max_retries", 1_000_000, 1_000_000),
        ("retry_backoff", "fixed", Backoff.FIXED),
        ("retry_backoff", Backoff.NONE, Backoff.NONE),
        ("retry_base_delay", "250ms", 250),
        ("retry_base_delay", timedelta(hours=1), 3_600_000),
        ("scheduled_at", "2026-01-31T08:00:00Z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("scheduled_at", datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)),
        ("expire_after", "7d", 604_800_000),
        ("tags", {}, {}),
        ("tags", {"k" * 255: "v" * 1024, "a b.c": ""}, {"k" * 255: "v" * 1024, "a b.c": ""}),
        ("job_id", JOB_ID, JOB_ID),
    ],
)
def test_enqueue_takes(field: str, given: Any, value: Any) -> None:
    request = EnqueueRequest.model_validate({"queue": "q", field: given})
    assert getattr(request, field) == value
    assert type(getattr(request, field)) is type(value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("queue", "", "must be 1 to 255 characters from"),
        ("queue", "q" * 256, "must be 1 to 255 characters from"),
        ("queue", "a b", "must be 1 to 255 characters from"),
        ("queue", "a\n", "must be 1 to 255 characters from"),
        ("queue", "ä", "must be 1 to 255 characters from"),
        ("queue", "a\0", "must be 1 to 255 characters from"),
        ("queue", 7, "valid string"),
        ("queue", None, "valid string"),
        ("priority", "urgent", "must be critical, high or normal"),
        ("priority", "HIGH", "must be critical, high or normal"),
        ("priority", 3, "must be critical, high or normal"),
        ("priority", -1, "must be critical, high or normal"),
        ("priority", "1", "must be critical, high or normal"),
        ("priority", True, "must be critical, high or normal"),
        ("priority", 1.0, "must be critical, high or normal"),
        ("priority", [1], "must be critical, high or normal"),
        ("unique_key", "", "at least 1 character"),
        ("unique_key", "k" * 1025, "at most 1024 characters"),
        ("unique_key", "a\0b", "NUL"),
        ("unique_key", "\ud800", "unicode string"),
        ("unique_key", 5, "valid string"),
        ("unique_period", "60", "is not a duration"),
        ("unique_period", 0, "longer than 0s"),
        ("unique_period", "0s", "longer than 0s"),
        ("max_retries", "3", "valid integer"),
        ("max_retries", True, "valid integer"),
        ("max_retries", 1.5, "valid integer"),
        ("max_retries", -1, "greater than or equal to 0"),
        ("max_retries", 1_000_001, "less than or equal to 1000000"),
        ("max_retries", 2**70, "less than or equal to 1000000"),
        ("retry_backoff", "quadratic", "must be one of none, fixed, linear, exponential"),
        ("retry_backoff", 1, "must be one of"),
        ("retry_base_delay", 5, "must be a duration"),
        ("retry_max_delay", "-5s", "is not a duration"),
        ("scheduled_at", "2026-01-31T08:00:00", "no time zone"),
        ("scheduled_at", 1_769_846_400, "RFC 3339"),
        ("expire_after", "100y", "is not a duration"),
        ("tags", {"": "v"}, "1 to 255 characters, not 0"),
        ("tags", {"k" * 256: "v"}, "1 to 255 characters, not 256"),
        ("tags", {"k": "v" * 1025}, "at most 1024 characters, not 1025"),
        ("tags", {f"k{n}": "v" for n in range(65)}, "at most 64 items"),
        ("tags", {"k\0": "v"}, "NUL"),
        ("tags", {"k": "\udfff"}, "surrogate"),
        ("tags", ["a"], "valid dictionary"),
        ("job_id", JOB_ID.lower(), "must be job_ and a ULID"),
        ("job_id", "x", "must be job_ and a ULID"),
    ],
)
def test_enqueue_refuses(field: str, value: Any, message: str) -> None:
    [(where, what)] = refuse(EnqueueRequest, {"queue": "q", field: value})
    assert where == field
    assert message in what


def test_tag_of_a_wrong_type_is_named_by_its_key() -> None:
    assert refuse(EnqueueRequest, {"queue": "q", "tags": {"a b": 1}})[0][0] == 'tags["a b"]'
    assert refuse(EnqueueRequest, {"queue": "q", "tags": {"a": None}})[0][0] == "tags.a"


def test_null_stands_for_the_default_in_optional_fields() -> None:
    fields = set(EnqueueRequest.model_fields) - {"queue", "payload"}
    request = EnqueueRequest.model_validate({"queue": "q"} | dict.fromkeys(fields))
    assert request == EnqueueRequest(queue="q")


def test_options_that_are_left_out_are_null() -> None:
    assert EnqueueRequest(queue="q").model_dump(mode="json") == {
        "queue": "q",
        "payload": {},
        "priority": None,
        "unique_key": None,
        "unique_period": None,
        "max_retries": None,
        "retry_backoff": None,
        "retry_base_delay": None,
        "retry_max_delay": None,
        "scheduled_at": None,
        "delay": None,
        "expire_after": None,
        "tags": None,
        "concurrency_key": None,
        "on_conflict": "ignore",
        "traceparent": None,
        "job_id": None,
    }


def test_unknown_fields_are_ignored_unless_strict() -> None:
    body = {"jobs": [{"queue": "q", "prioritty": "high"}], "batch": {"callback_queue": "c", "x": 1}}
    assert EnqueueBatchRequest.model_validate(body).jobs[0].priority is None
    assert refuse(EnqueueBatchRequest, body, extra="forbid") == [
        ("jobs[0].prioritty", "Extra inputs are not permitted"),
        ("batch.x", "Extra inputs are not permitted"),
    ]
    beat = {"jobs": {JOB_ID: {"progress": {"curent": 1}}}}
    assert refuse(HeartbeatRequest, beat, extra="forbid")[0][0] == f"jobs.{JOB_ID}.progress.curent"


def test_batch_of_jobs_is_bounded() -> None:
    assert "at least 1 item" in refuse(EnqueueBatchRequest, {"jobs": []})[0][1]
    too_many = {"jobs": [{"queue": "q"}] * 10_001}
    assert "at most 10000 items" in refuse(EnqueueBatchRequest, too_many)[0][1]
    bad = {"jobs": [{"queue": "q"}, {"payload": 1}]}
    assert refuse(EnqueueBatchRequest, bad) == [("jobs[1].queue", "Field required")]


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"queues": []}, "queues", "at least 1 item"),
        ({"queues": ["a"] * 257}, "queues", "at most 256 items"),
        ({"queues": ["a", ""]}, "queues[1]", "must be 1 to 255 characters"),
        ({"queues": "a"}, "queues", "valid list"),
        ({"worker_id": ""}, "worker_id", "at least 1 character"),
        ({"worker_id": "w" * 256}, "worker_id", "at most 255 characters"),
        ({"worker_id": "w\0"}, "worker_id", "NUL"),
        ({"hostname": "h" * 256}, "hostname", "at most 255 characters"),
        ({"timeout": -1}, "timeout", "cannot be negative"),
        ({"timeout": 60.5}, "timeout", "from 0 to 60 seconds"),
        ({"timeout": "x"}, "timeout", "is not a duration"),
        ({"timeout": True}, "timeout", "number of seconds"),
        ({"lease_duration": 0.5}, "lease_duration", "from 1 to 86400 seconds"),
        ({"lease_duration": 86_401}, "lease_duration", "from 1 to 86400 seconds"),
        ({"count": 0}, "count", "greater than or equal to 1"),
        ({"count": 513}, "count", "less than or equal to 512"),
    ],
)
def test_fetch_refuses(body: dict[str, Any], field: str, message: str) -> None:
    [(where, what)] = refuse(FetchBatchRequest, FETCH | body)
    assert where == field
    assert message in what


def test_fetch_takes_seconds_and_keeps_milliseconds() -> None:
    request = FetchRequest.model_validate(FETCH | {"timeout": 0, "lease_duration": 90})
    assert (request.timeout, request.lease_duration) == (0, 90_000)
    assert FetchRequest.model_validate(FETCH).timeout == 30_000
    assert FetchRequest.model_validate(FETCH).lease_duration is None
    assert FetchRequest.model_validate(FETCH | {"queues": ("a", "b")}).queues == ["a", "b"]


def test_failure_may_have_any_text() -> None:
    request = FailRequest.model_validate({"error": "a\0b\ud800✓", "backtrace": "x" * 1_000_000})
    assert request.error == "a\ufffdb\ufffd✓"
    assert len(request.backtrace or "") == 1_000_000
    assert FailRequest(error="").retry
    assert refuse(FailRequest, {}) == [("error", "Field required")]
    assert refuse(FailRequest, {"error": 1})[0][0] == "error"
    assert "valid boolean" in refuse(FailRequest, {"error": "", "retry": "no"})[0][1]


def test_outcome_batches_are_bounded_and_accept_any_job_id() -> None:
    assert AckBatchRequest.model_validate({"acks": []}).acks == []
    assert AckBatchRequest.model_validate({"acks": [{"job_id": "?"}]}).acks[0].result is None
    too_many = {"acks": [{"job_id": JOB_ID}] * 513}
    assert "at most 512 items" in refuse(AckBatchRequest, too_many)[0][1]


def test_null_result_differs_from_an_absent_one() -> None:
    assert "checkpoint" in ReleaseRequest.model_validate({"checkpoint": None}).model_fields_set
    assert "checkpoint" not in ReleaseRequest.model_validate({"delay": "5s"}).model_fields_set


@pytest.mark.parametrize("current", [5, 5.5, 0, -1, 2**70])
def test_progress_does_not_convert_numbers(current: float) -> None:
    body = {"jobs": {JOB_ID: {"progress": {"current": current, "total": 10, "message": "m\0"}}}}
    progress = HeartbeatRequest.model_validate(body).jobs[JOB_ID].progress
    assert progress is not None
    assert progress.model_dump() == {"current": current, "total": 10, "message": "m\ufffd"}
    assert type(progress.current) is type(current)


@pytest.mark.parametrize("current", ["5", True, float("nan"), [], 10**400])
def test_progress_refuses_other_values(current: Any) -> None:
    body = {"jobs": {JOB_ID: {"progress": {"current": current}}}}
    [(where, what)] = refuse(HeartbeatRequest, body)
    assert where == f"jobs.{JOB_ID}.progress.current"
    assert what == "must be a finite number"


@pytest.mark.parametrize(
    ("body", "window"),
    [({"rate": 5, "window_ms": 1000}, 1000), ({"rate": 5, "period": "1m"}, 60_000)],
)
def test_throttle_accepts_either_field_for_its_window(body: dict[str, Any], window: int) -> None:
    assert ThrottleRequest.model_validate(body).window == window


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"rate": 5}, "give exactly one of window_ms and period"),
        ({"rate": 5, "window_ms": 1, "period": "1s"}, "give exactly one of window_ms and period"),
        ({"rate": 5, "period": "0s"}, "longer than 0s"),
        ({"rate": 0, "period": "1s"}, "greater than or equal to 1"),
        ({"period": "1s"}, "Field required"),
    ],
)
def test_throttle_refuses(body: dict[str, Any], message: str) -> None:
    assert message in refuse(ThrottleRequest, body)[0][1]


def test_zero_or_null_removes_the_limit() -> None:
    assert ConcurrencyRequest.model_validate({"max": 0}).max == 0
    assert ConcurrencyRequest.model_validate({"max": None}).max is None
    assert "greater than or equal" in refuse(ConcurrencyRequest, {"max": -1})[0][1]


def test_search_takes_all_filters() -> None:
    request = SearchRequest.model_validate(
        {"state": ["dead", JobState.ACTIVE], "priority": 0, "sort": "failed_at", "order": "asc"}
    )
    assert request.state == [JobState.DEAD, JobState.ACTIVE]
    assert SearchRequest().limit == 50
    assert refuse(SearchRequest, {"state": ["gone"]})[0][0] == "state[0]"
    assert refuse(SearchRequest, {"limit": 1001})[0][0] == "limit"
    assert "must be one of asc, desc" in refuse(SearchRequest, {"order": "up"})[0][1]
    assert "valid boolean" in refuse(SearchRequest, {"has_errors": 1})[0][1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"action": "retry"}, "give exactly one of job_ids and filter"),
        (
            {"action": "retry", "job_ids": ["x"], "filter": {}},
            "give exactly one of job_ids and filter",
        ),
        ({"action": "move", "job_ids": ["x"]}, "requires move_to_queue"),
        ({"action": "change_priority", "job_ids": ["x"]}, "requires priority"),
        ({"action": "explode", "job_ids": ["x"]}, "must be one of retry, delete, cancel"),
        ({"action": "retry", "job_ids": []}, "at least 1 item"),
    ],
)
def test_bulk_refuses(body: dict[str, Any], message: str) -> None:
    assert message in refuse(BulkRequest, body)[0][1]


def test_bulk_reads_and_writes_async() -> None:
    request = BulkRequest.model_validate({"action": "retry", "filter": {}, "async": True})
    assert request.run_async
    assert request == BulkRequest(action=BulkAction.RETRY, filter=SearchFilter(), run_async=True)
    assert request.model_dump(exclude_unset=True)["async"] is True


def test_schedule_has_defaults() -> None:
    request = ScheduleRequest.model_validate(SCHEDULE | {"timezone": None, "misfire": "skip"})
    assert (request.timezone, request.misfire) == ("UTC", Misfire.SKIP)
    assert refuse(ScheduleRequest, SCHEDULE | {"cron": ""})[0][0] == "cron"


def test_bulk_get_is_bounded() -> None:
    assert BulkGetRequest.model_validate({"job_ids": (JOB_ID,)}).job_ids == [JOB_ID]
    assert refuse(BulkGetRequest, {"job_ids": [JOB_ID] * 10_001})[0][0] == "job_ids"


def test_long_queue_name_is_not_kept_in_memory() -> None:
    name = "x" * 1_000_000
    before = sys.getrefcount(name)
    assert not is_queue_name(name)
    assert sys.getrefcount(name) == before
