"""The fast path for jobs without options writes the same JSON as the model."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from corvo_client import NewJob, RawJson, ValidationFailed
from corvo_client._calls import jobs as calls
from corvo_client._codec import encode
from corvo_client._options import NO_PAYLOAD
from corvo_schema import EnqueueRequest, new_job_id

JOBS: list[NewJob] = [
    {"queue": "a"},
    {"queue": "a", "payload": None},
    {"queue": "a", "payload": {"n": 2**70, "none": None, "at": datetime(2026, 1, 31, tzinfo=UTC)}},
    {"queue": "a", "payload": 1, "unique_key": "k", "max_retries": 0, "concurrency_key": "c"},
    {"queue": "a", "tags": {"k": "v"}, "unique_key": None, "job_id": new_job_id()},
    {"queue": "a", "traceparent": f"00-{1:032x}-{2:016x}-01"},
    {"queue": "a", "payload": [], "priority": "high", "retry_base_delay": timedelta(seconds=2)},
    {"queue": "a", "scheduled_at": datetime(2026, 1, 31, tzinfo=UTC), "unique_period": 1.5},
    {"queue": "a", "payload": RawJson("[1.0]"), "retry_backoff": "none", "expire_after": "1h"},
]


PLAIN: list[NewJob] = [
    {"queue": "a"},
    {"payload": None, "queue": "b/c"},
    {"queue": "a", "payload": {"n": 2**70, "at": datetime(2026, 1, 31, tzinfo=UTC)}},
    {"queue": "a", "payload": ["é", 1.5]},
]


@dataclass
class Point:
    x: int


def written(request: EnqueueRequest) -> Any:
    return json.loads(encode(request, job_id=request.job_id or "drawn"))


def sent(job: Any, request: EnqueueRequest) -> Any:
    """Return the body without its random job ids."""
    return job if request.job_id else job | {"job_id": "drawn"}


@pytest.mark.parametrize("job", JOBS + PLAIN, ids=",".join)
def test_a_job_is_encoded_like_its_model(job: NewJob) -> None:
    options: Any = {key: value for key, value in job.items() if key not in {"queue", "payload"}}
    given = [job["payload"]] if "payload" in job else []
    request = calls.enqueue_request(job["queue"], *given, options=options)
    new = calls.enqueue_new(job["queue"], job.get("payload", NO_PAYLOAD), options)
    for call in (calls.enqueue(request), new):
        assert call.body is not None
        assert sent(json.loads(call.body), request) == written(request)


@pytest.mark.parametrize(
    "batch", [PLAIN, JOBS[:6], JOBS], ids=["shortest path", "fast path", "both paths"]
)
def test_a_batch_encodes_its_jobs_like_single_jobs(batch: list[NewJob]) -> None:
    requests = [EnqueueRequest.model_validate(job) for job in batch]
    ways: list[list[NewJob | EnqueueRequest]] = [
        [*batch],
        [*requests],
        [*batch[:1], *requests[1:]],
    ]
    for given in ways:
        body = calls.enqueue_batch(given, None).body
        assert body is not None
        jobs = json.loads(body)["jobs"]
        ids = [job["job_id"] for job in jobs]
        assert len(set(ids)) == len(batch)
        assert list(map(sent, jobs, requests)) == [written(request) for request in requests]


@pytest.mark.parametrize(
    ("payload", "sent_as"),
    [(NO_PAYLOAD, None), (RawJson("1.00"), b"1.00"), (Point(1), b'{"x":1}'), (None, b"null")],
)
def test_payloads_of_other_types_are_converted_in_batches(
    payload: Any, sent_as: bytes | None
) -> None:
    body = calls.enqueue_batch([{"queue": "a"}, {"queue": "a", "payload": payload}], None).body
    assert body is not None
    _, _, last = body.rpartition(b'"queue":"a"')
    assert last == (b"}]}" if sent_as is None else b',"payload":%b}]}' % sent_as)


@pytest.mark.parametrize(
    "job",
    [
        {"queue": 1},
        {"queue": None},
        {"queue": ["a"]},
        {"queue": ""},
        {"payload": 1},
        {"queue": "a", "colour": "red"},
        {"queue": "a", "payload": float("nan")},
        {"queue": "a", "payload": object()},
    ],
)
def test_an_invalid_job_without_options_is_rejected(job: Any) -> None:
    with pytest.raises(ValidationFailed):
        calls.enqueue_batch([{"queue": "a"}, job], None)


def test_the_error_names_the_first_invalid_job_of_a_batch() -> None:
    jobs: list[NewJob] = [{"queue": "a"}, {"queue": "a", "max_retries": -1}, {"queue": ""}]
    with pytest.raises(ValidationFailed) as caught:
        calls.enqueue_batch(jobs, None)
    assert [detail.field for detail in caught.value.details] == ["max_retries"]
    assert caught.value.__notes__ == ["in jobs[1]"]
