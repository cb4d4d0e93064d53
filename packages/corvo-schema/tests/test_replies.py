"""Replies: tolerance for newer servers, round trips, JSON Schema of every model."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

import corvo_schema
from corvo_schema import (
    EnqueueReply,
    EnqueueRequest,
    ErrorReply,
    FailResult,
    FetchBatchReply,
    FetchedJob,
    HeartbeatReply,
    Job,
    JobState,
    Priority,
    StatusReply,
    json_path,
)
from corvo_schema._base import ReplyModel, RequestModel

MODELS = [
    member
    for name in corvo_schema.__all__
    if isinstance(member := getattr(corvo_schema, name), type) and issubclass(member, BaseModel)
]
MINIMAL_JOB = {
    "id": "job_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "queue": "q",
    "state": "dead",
    "created_at": "2026-01-31T08:00:00.000Z",
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=8,
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_every_model_has_a_json_schema_and_a_docstring(model: type[BaseModel], mode: Any) -> None:
    schema = model.model_json_schema(mode=mode)
    assert schema["type"] == "object"
    assert schema["description"] == (model.__doc__ or "").strip().replace("\n    ", "\n")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_requests_are_strict_and_replies_are_tolerant(model: type[BaseModel]) -> None:
    assert model.model_config.get("extra", "ignore") == "ignore"
    assert model.model_config.get("strict", False) is issubclass(model, RequestModel)


def test_all_is_complete_and_sorted() -> None:
    assert len(set(corvo_schema.__all__)) == len(corvo_schema.__all__)
    assert all(hasattr(corvo_schema, name) for name in corvo_schema.__all__)
    public = {
        model.__name__
        for base in (RequestModel, ReplyModel)
        for child in base.__subclasses__()
        for model in (child, *child.__subclasses__())
        if model.__module__.startswith("corvo_schema.")
    }
    assert public <= set(corvo_schema.__all__)


def test_job_of_a_newer_server_is_read() -> None:
    job = Job.model_validate(
        MINIMAL_JOB | {"state": "frozen", "priority": "urgent", "shard": 4, "tags": None}
    )
    assert (job.state, job.priority, job.tags) == ("frozen", "urgent", {})


def test_job_knows_its_state_and_priority() -> None:
    job = Job.model_validate(MINIMAL_JOB | {"priority": "high"})
    assert job.state is JobState.DEAD
    assert job.priority is Priority.HIGH
    assert job.model_dump(mode="json")["priority"] == "high"
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_fetched_job_of_an_older_server_is_read() -> None:
    body = b'{"jobs":[{"job_id":"j","queue":"q","payload":{"n":%d},"attempt":1,' % 2**70
    reply = FetchBatchReply.model_validate_json(
        body + b'"max_retries":3,"lease_duration":60,"checkpoint":null,"tags":null}]}'
    )
    [job] = reply.jobs
    assert job.payload == {"n": 2**70}
    assert (job.lease_duration, job.lease_token, job.tags) == (60_000, None, {})
    assert job.model_dump(mode="json")["lease_duration"] == 60


def test_replies_accept_unknown_words() -> None:
    assert StatusReply.model_validate({"status": "paused"}).status == "paused"
    assert FailResult.model_validate({"job_id": "j", "status": "error"}).attempts_remaining == 0
    beat = HeartbeatReply.model_validate({"jobs": {"j": {"status": "cancel", "reason": "moved"}}})
    assert beat.jobs["j"].reason == "moved"
    assert EnqueueReply.model_validate({"job_id": "j", "status": "completed"}).status == "completed"
    assert ErrorReply.model_validate({"error": "e", "code": "NEW"}).code == "NEW"


@given(
    st.builds(
        dict,
        queue=st.from_regex(r"[A-Za-z0-9._:/-]{1,255}", fullmatch=True),
        payload=json_values,
        priority=st.sampled_from(["critical", "high", "normal", 0, 1, 2]),
        unique_key=texts,
        unique_period=st.integers(1, 10**6) | st.floats(0.001, 10**6),
        max_retries=st.integers(0, 1_000_000),
        tags=st.dictionaries(texts, texts, max_size=3),
        scheduled_at=st.datetimes(timezones=st.timezones()).filter(lambda at: 2 < at.year < 9998),
        expire_after=st.timedeltas(
            min_value=corvo_schema.from_ms(0) - corvo_schema.from_ms(0)
        ).filter(lambda delta: delta.days < 3650),
    )
)
def test_enqueue_request_survives_the_round_trip(fields: dict[str, Any]) -> None:
    request = EnqueueRequest.model_validate(fields)
    assert EnqueueRequest.model_validate_json(request.model_dump_json()) == request
    assert EnqueueRequest.model_validate(request.model_dump()) == request


@given(payload=json_values, checkpoint=json_values)
def test_fetched_job_survives_the_round_trip(payload: Any, checkpoint: Any) -> None:
    job = FetchedJob(
        job_id="j",
        queue="q",
        payload=payload,
        checkpoint=checkpoint,
        attempt=1,
        lease_duration=0.5,
    )
    assert FetchedJob.model_validate_json(job.model_dump_json()) == job


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), ""),
        (("queue",), "queue"),
        (("jobs", 3, "max_retries"), "jobs[3].max_retries"),
        (("tags", "a b"), 'tags["a b"]'),
        (("tags", "", "[key]"), 'tags[""]'),
        (("a", "b", "c"), "a.b.c"),
    ],
)
def test_json_path_returns_the_path(location: tuple[int | str, ...], path: str) -> None:
    assert json_path(location) == path


def test_details_are_bounded() -> None:
    adapter = TypeAdapter(list[EnqueueRequest])
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python([{}] * 100)
    assert len(corvo_schema.details_of(caught.value)) == 20
    assert corvo_schema.details_of(caught.value, limit=1)[0].field == "[0].queue"
