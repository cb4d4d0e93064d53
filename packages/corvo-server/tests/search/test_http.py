"""`POST /jobs/search` over HTTP."""

from collections.abc import AsyncIterator

import pytest

from corvo_schema import SearchReply
from server_support.bench import Bench
from server_support.http import HttpServer, serve


@pytest.fixture
async def server(bench: Bench) -> AsyncIterator[HttpServer]:
    async with serve(bench.engine) as server:
        yield server


async def test_a_search_returns_pages(bench: Bench, server: HttpServer) -> None:
    ids = [await bench.enqueue(payload={"n": n}, tags={"a": "1"}) for n in range(3)]
    await bench.fail(await bench.fetch_one(), "boom", retry=False)
    first = await server.post("/jobs/search", {"tags": {"a": "1"}, "limit": 2})
    assert first.status == 200
    page = SearchReply.model_validate_json(first.body)
    assert [job.id for job in page.jobs] == ids[:0:-1]
    assert (page.total, page.total_is_exact, page.has_more) == (3, True, True)
    assert page.duration_ms > 0
    body = {"tags": {"a": "1"}, "limit": 2, "cursor": page.cursor}
    last = (await server.post("/jobs/search", body)).json
    assert (last["cursor"], last["has_more"], last["total"]) == (None, False, 3)
    (job,) = last["jobs"]
    assert job["id"] == ids[0]
    assert [error["error"] for error in job["errors"]] == ["boom"]
    assert job["payload"] == {"n": 0}


async def test_an_empty_search_returns_the_newest_jobs(bench: Bench, server: HttpServer) -> None:
    for _ in range(51):
        await bench.enqueue()
    found = (await server.post("/jobs/search", {})).json
    assert (len(found["jobs"]), found["total"], found["has_more"]) == (50, 51, True)


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"sort": "size"}, "sort", "must be one of created_at,"),
        ({"limit": 1001}, "limit", "less than or equal to 1000"),
        ({"payload_jq": ".a ="}, "payload_jq", "at character 4: compare with =="),
        ({"payload_jq": '.["é"]' * 64 + " == 1"}, "payload_jq", "at most 60 keys"),
        ({"cursor": "x"}, "cursor", "was not issued by this server"),
    ],
)
async def test_an_invalid_field_is_refused_by_its_name(
    server: HttpServer, body: dict[str, object], field: str, said: str
) -> None:
    reply = await server.post("/jobs/search", body)
    assert reply.status == 400
    assert reply.json["code"] == "VALIDATION_ERROR"
    (detail,) = reply.json["details"]
    assert detail["field"] == field
    assert said in detail["message"]


@pytest.mark.parametrize(
    "expression",
    [
        '.["é"]' * 60 + " == 1",
        '.["é"].a' * 60 + " | length > 1",
        " and ".join(['.["é"]["/"] == 1'] * 100),
        ".a" * 2000 + " == 1",
        ".[0]" * 1000 + " == 1",
        f".a > {'9' * 4000}",
        ".a < 1e9999",
    ],
    ids=lambda text: text[:20],
)
async def test_the_longest_expressions_are_answered(
    bench: Bench, server: HttpServer, expression: str
) -> None:
    await bench.enqueue(payload={"é": {"é": 1}, "a": [[1]]})
    reply = await server.post("/jobs/search", {"payload_jq": expression})
    assert reply.status == 200, reply.body


async def test_a_search_that_is_too_slow_is_refused(bench: Bench, server: HttpServer) -> None:
    bench.store._search_seconds = 0
    reply = await server.post("/jobs/search", {"payload_contains": "x"})
    assert reply.status in {400, 503}
    assert "retry-after" in reply.headers or reply.json["code"] == "VALIDATION_ERROR"
    bench.store._search_seconds = 5
    assert (await server.post("/jobs/search", {})).status == 200
