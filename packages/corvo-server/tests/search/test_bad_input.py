"""Invalid searches and their error messages."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from msgspec import msgpack
from pydantic import ValidationError

from corvo_schema import SearchRequest
from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError
from corvo_server.engine.search import Page, job_filter
from server_support.bench import Bench

Find = Callable[..., Awaitable[Page]]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"sort": "shoe_size"}, "sort"),
        ({"sort": ""}, "sort"),
        ({"order": "up"}, "order"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": True}, "limit"),
        ({"state": ["sleeping"]}, "state"),
        ({"state": "dead"}, "state"),
        ({"priority": "urgent"}, "priority"),
        ({"queue": "with space"}, "queue"),
        ({"tags": {"a": 1}}, "tags"),
        ({"tags": {"": "x"}}, "tags"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_after": "2026-01-01T00:00:00"}, "created_after"),
        ({"attempt_min": -1}, "attempt_min"),
        ({"payload_contains": ""}, "payload_contains"),
        ({"payload_contains": "a\0"}, "payload_contains"),
        ({"error_contains": "\ud800"}, "error_contains"),
        ({"payload_jq": "x" * 4097}, "payload_jq"),
        ({"has_errors": "yes"}, "has_errors"),
    ],
)
def test_an_invalid_field_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        SearchRequest.model_validate(fields)
    assert {error["loc"][0] for error in refused.value.errors()} == {field}


async def refusal(find: Find, **fields: Any) -> CallError:
    with pytest.raises(CallError) as refused:
        await find(**fields)
    assert refused.value.code is ErrorCode.VALIDATION_ERROR
    return refused.value


async def test_a_syntax_error_is_refused_with_its_position(find: Find) -> None:
    error = await refusal(find, payload_jq=".a = 1")
    assert error.message == "payload_jq cannot be read at character 4: compare with ==."
    assert error.details == [("payload_jq", "at character 4: compare with ==")]


def test_a_filter_within_a_request_is_named_by_its_path() -> None:
    with pytest.raises(CallError) as refused:
        job_filter(SearchRequest(payload_jq="("), "filter.")
    assert refused.value.details[0][0] == "filter.payload_jq"


async def test_a_cursor_of_another_search_is_refused(bench: Bench, find: Find) -> None:
    for _ in range(3):
        await bench.enqueue(tags={"a": "1"}, priority="high")
    search = {"queue": "mail", "tags": {"a": "1"}, "sort": "priority", "limit": 1}
    cursor = (await find(**search)).cursor
    assert (await find(**search, cursor=cursor)).jobs
    for change in (
        {"queue": "other"},
        {"tags": {"a": "2"}},
        {"tags": {}},
        {"sort": "attempt"},
        {"order": "asc"},
        {"state": ["pending"]},
        {"payload_jq": ".a"},
        {"created_after": "2020-01-01T00:00:00Z"},
        {"has_errors": False},
    ):
        error = await refusal(find, **{**search, **change, "cursor": cursor})
        expected = "belongs to a search with other filters or another order"
        assert error.details == [("cursor", expected)], change
        assert error.message == f"The cursor {expected}; start again without a cursor."


async def test_an_invalid_cursor_is_refused(bench: Bench, find: Find) -> None:
    for _ in range(3):
        await bench.enqueue()
    cursor = (await find(limit=1)).cursor
    assert cursor is not None
    for forged in (
        "x",
        "====",
        "ä",
        cursor[:-4],
        cursor + "AAAA",
        cursor[1:],
        cursor.lower(),
        "AA",
    ):
        error = await refusal(find, limit=1, cursor=forged)
        assert error.details == [("cursor", "was not issued by this server")], forged


async def test_a_forged_cursor_does_no_harm(bench: Bench, find: Find) -> None:
    for _ in range(3):
        await bench.enqueue()
    for sort in ("created_at", "queue", "state", "completed_at", "priority"):
        page = await find(limit=1, sort=sort)
        assert page.cursor is not None
        parts = msgpack.decode(_decoded(page.cursor))
        for place, value in (
            (2, "' OR 1 = 1 --"),
            (2, 2**63),
            (2, None),
            (2, 1.5),
            (3, -(2**63)),
            (3, 2**64 - 1),
            (4, -1),
            (5, "x"),
            (0, 2),
        ):
            forged = [*parts]
            forged[place] = value
            text = urlsafe_b64encode(msgpack.encode(forged)).decode().rstrip("=")
            with suppress(CallError):
                assert len((await find(limit=1, sort=sort, cursor=text)).jobs) <= 1


def _decoded(cursor: str) -> bytes:
    return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
