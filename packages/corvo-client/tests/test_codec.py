"""Encoding of requests and decoding of answers."""

import dataclasses
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from corvo_client import (
    ApiError,
    BadReply,
    NotFound,
    ServerError,
    Unavailable,
    ValidationFailed,
    calls,
)
from corvo_client._call import Call
from corvo_client._codec import encode, encode_json, read_answer, reader
from corvo_schema import (
    AckRequest,
    BatchOptions,
    EnqueueRequest,
    FetchBatchReply,
    Health,
    QueueInfo,
    ReleaseRequest,
    ServerInfo,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=8,
)
CALL = Call("GET", "/x", reader(Health))


class Order(BaseModel):
    number: int
    note: str | None = None


@dataclasses.dataclass
class Point:
    x: int


@given(json_values)
def test_payload_is_encoded_unchanged(payload: Any) -> None:
    body = encode(EnqueueRequest(queue="q", payload=payload))
    assert json.loads(body) == {"queue": "q", "payload": payload}


def test_payload_of_other_types_is_converted() -> None:
    number = uuid.UUID(int=1)
    payload = {
        "order": Order(number=1),
        "point": Point(2),
        "at": datetime(2026, 1, 31, tzinfo=UTC),
        "id": number,
        "pair": (1, 2),
    }
    body = json.loads(encode(EnqueueRequest(queue="q", payload=payload)))
    assert body["payload"] == {
        "order": {"number": 1, "note": None},
        "point": {"x": 2},
        "at": "2026-01-31T00:00:00Z",
        "id": str(number),
        "pair": [1, 2],
    }


def test_null_is_written_for_a_payload_only() -> None:
    assert encode(EnqueueRequest(queue="q", payload=None)) == b'{"queue":"q","payload":null}'
    assert encode(AckRequest(result=None)) == b"{}"
    assert encode(AckRequest(result={"a": None})) == b'{"result":{"a":null}}'
    assert encode(ReleaseRequest(checkpoint=None, lease_token=None)) == b"{}"


def test_more_members_come_first_and_are_overridden() -> None:
    request = EnqueueRequest(queue="q")
    assert encode(request, job_id="x") == b'{"job_id":"x","queue":"q"}'


def loop() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    "value",
    [float("nan"), {"a": [float("-inf")]}, "\ud800", {"\udfff": 1}, object(), b"\xff", loop(), len],
)
def test_values_that_are_not_json_are_rejected(value: Any) -> None:
    with pytest.raises(ValidationFailed, match="cannot be written as JSON"):
        encode_json(value)


@pytest.mark.parametrize("text", ["NaN", "-Infinity", {"Infinity": 1}])
def test_texts_like_nan_are_accepted(text: Any) -> None:
    assert json.loads(encode_json(text)) == text


def test_reply_with_odd_but_legal_json_is_read() -> None:
    deep = "[" * 400 + "]" * 400
    body = (
        '{"jobs":[{"job_id":"j","queue":"q","attempt":1,"lease_duration":1,'
        f'"payload":{{"lone":"\\ud800","deep":{deep}}}}}]}}'
    )
    [job] = reader(FetchBatchReply)(body.encode()).jobs
    assert job.payload["lone"] == "\ud800"


def test_list_of_models_is_read() -> None:
    queues = reader(list[QueueInfo])(b'[{"name":"a"},{"name":"b"}]')
    assert [queue.name for queue in queues] == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"server_version": 1}', b"\xff", b"[" * 100_000],
)
def test_error_of_an_invalid_answer_has_its_beginning(body: bytes) -> None:
    with pytest.raises(BadReply, match="not what a Corvo server") as caught:
        reader(ServerInfo)(body)
    assert len(str(caught.value)) < 1000


def test_error_of_a_redirect_has_its_target() -> None:
    with pytest.raises(BadReply, match="HTTP 308: redirected to https://x/; set the server's URL"):
        read_answer(CALL, 308, {"location": "https://x/"}, b"")


def test_error_of_the_server_is_read() -> None:
    body = b'{"error":"no job","code":"NOT_FOUND","details":[{"field":"id","message":"?"}]}'
    with pytest.raises(NotFound, match=r"no job \(id: \?\)") as caught:
        read_answer(CALL, 404, {"x-request-id": "r"}, body)
    assert caught.value.request_id == "r"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (502, b"<html>Bad Gateway</html>", Unavailable),
        (404, b"", NotFound),
        (500, b'{"detail": "x"}', ServerError),
        (400, b"[1]", ValidationFailed),
    ],
)
def test_error_of_a_proxy_is_recognized(status: int, body: bytes, kind: type[ApiError]) -> None:
    with pytest.raises(kind, match=f"HTTP {status}, but not from a Corvo server") as caught:
        read_answer(CALL, status, {}, body)
    assert caught.value.code == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3.0), ("", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), ("²", None)],
)
def test_retry_after_is_read_in_seconds(text: str, seconds: float | None) -> None:
    body = b'{"error":"later","code":"UNAVAILABLE"}'
    with pytest.raises(Unavailable) as caught:
        read_answer(CALL, 503, {"retry-after": text}, body)
    assert caught.value.retry_after == seconds


def deep(levels: int) -> Any:
    """Return so many lists within each other."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("make", "limit", "field"),
    [
        (lambda value: calls.enqueue(calls.enqueue_request("q", value)), 190, "payload"),
        (
            lambda value: calls.enqueue_batch(
                [{"queue": "q"}, {"queue": "q", "payload": value}], None
            ),
            190,
            "jobs[1].payload",
        ),
        (
            lambda value: calls.enqueue_batch(
                [{"queue": "q"}], BatchOptions(callback_queue="q", callback_payload=value)
            ),
            189,
            "callback_payload",
        ),
        (
            lambda value: calls.put_schedule(
                calls.schedule_request("s", queue="q", cron="@daily", payload=value)
            ),
            190,
            "payload",
        ),
        (lambda value: encode(AckRequest(result=value)), 190, "result"),
        (lambda value: encode(ReleaseRequest(checkpoint=value)), 190, "checkpoint"),
    ],
)
def test_document_is_refused_if_it_is_nested_too_deeply(
    make: Callable[[Any], object], limit: int, field: str
) -> None:
    make(deep(limit))
    with pytest.raises(ValidationFailed) as caught:
        make(deep(limit + 1))
    assert [detail.field for detail in caught.value.details] == [field]
    assert f"at most {limit} levels" in str(caught.value)
