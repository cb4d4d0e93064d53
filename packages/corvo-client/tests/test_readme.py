"""The examples of the README run."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

README = Path(__file__).parents[1] / "README.md"
SYNC, ASYNC, *_ = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
JOB = {"id": "j", "queue": "mail", "state": "pending", "created_at": "2026-01-31T08:00:00.000Z"}


def run(code: str) -> None:
    exec(compile(code, str(README), "exec"), {"__name__": "__main__"})  # noqa: S102 - our own text


def test_sync_example_runs(server: Any, network: Any, capsys: pytest.CaptureFixture[str]) -> None:
    network(server)
    server.answer(201, {"job_id": "j", "status": "pending"})
    server.answer(200, JOB)
    server.refuse(404, "NOT_FOUND", "There is no such job")
    run(SYNC)
    assert capsys.readouterr().out == "pending 0\nThere is no such job\n"
    assert server.bodies[0]["expire_after"] == "1h"


def test_async_example_runs_and_shares_requests(
    server: Any, network: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def accept(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        jobs = body.get("jobs", [body])
        results = [{"job_id": job["job_id"], "status": "pending"} for job in jobs]
        return httpx.Response(201, json={"job_ids": [], "results": results} | results[0])

    async def answer(request: httpx.Request) -> httpx.Response:
        return accept(request)

    network(answer)
    run(ASYNC)
    assert capsys.readouterr().out == "100\n"
