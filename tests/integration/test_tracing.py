"""Tracing, configured only by environment variables."""

import json
from pathlib import Path

import pytest

from corvo_client import AsyncClient
from support.server import CorvoServer

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"


async def test_spans_of_verbs_and_commits_are_exported(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.sdk")
    server = CorvoServer(tmp_path / "data", env={"OTEL_TRACES_EXPORTER": "console"}).start()
    headers = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
    async with AsyncClient(server.url, headers=headers) as client:
        job_id = (await client.enqueue("q")).job_id
        assert (await client.get_job(job_id)).traceparent == headers["traceparent"]
    assert server.stop() == 0
    server.close()
    # The server exports its last spans before it ends, as multi-line documents in its output.
    text = "".join(server.lines)
    spans = []
    decoder = json.JSONDecoder()
    at = text.find("{\n")
    while at >= 0:
        span, at = decoder.raw_decode(text, at)
        spans.append(span)
        at = text.find("{\n", at)
    by_name = {span["name"]: span for span in spans}
    assert {"corvo.jobs.enqueue", "corvo.jobs.get", "corvo.commit"} <= set(by_name)
    enqueue = by_name["corvo.jobs.enqueue"]
    assert (enqueue["context"]["trace_id"], enqueue["parent_id"]) == (
        f"0x{TRACE_ID}",
        f"0x{SPAN_ID}",
    )
    assert by_name["corvo.commit"]["parent_id"] is None
    assert enqueue["resource"]["attributes"]["service.name"] == "corvo-server"
