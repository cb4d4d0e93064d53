"""Bulk operations that are refused."""

from typing import Any

import pytest

from corvo_server.store.protocol import SearchTooSlow
from server_support.bench import Bench
from server_support.http import HttpServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"queue": "mail", "payload_contains": "x"}, "filter.payload_contains"),
        ({"queue": "mail"}, "filter"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_filter_that_takes_too_long_is_refused(
    bench: Bench,
    server: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
    filters: dict[str, Any],
    field: str,
    is_async: bool,
) -> None:
    job_id = await bench.enqueue()

    async def matching_ids(*_: Any) -> Any:
        raise SearchTooSlow("it took longer than 5 seconds")

    monkeypatch.setattr(bench.store, "matching_ids", matching_ids)
    body = {"filter": filters, "action": "delete", "async": is_async}
    reply = await server.post("/jobs/bulk", body)
    assert (reply.status, reply.json["code"]) == (400, "VALIDATION_ERROR")
    assert "it took longer than 5 seconds" in reply.json["error"]
    assert [detail["field"] for detail in reply.json["details"]] == [field]
    assert await bench.job(job_id)
