"""The example of a Sanic application, run as its documentation says."""

import importlib
import sys
from typing import Any

import pytest

from corvo_client import AsyncClient
from server_support.waiting import wait_until
from support.server import CorvoServer
from support.web_example import EXAMPLES, web_example


async def done(server: CorvoServer, job_id: str) -> Any:
    async with AsyncClient(server.url) as client:

        async def result() -> Any:
            job = await client.get_job(job_id)
            return job.result if job.state == "completed" else None

        return await wait_until(result, "the job is done")


async def test_sanic(server: CorvoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["sanic", "sanic_app:app", "--port", "{port}", "--single-process", "--no-motd"]
    async with web_example(server, *command) as web:
        answer = await web.post("/images/cat.png")
        assert answer.status_code == 202
        job_id = answer.json()["job_id"]
    monkeypatch.setenv("CORVO_SERVER", server.url)
    async with worker_of("sanic_app", monkeypatch):
        assert await done(server, job_id) == "cat.png@100"


def worker_of(module: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(EXAMPLES)
    worker = importlib.import_module(module).worker
    del sys.modules[module]
    return worker
