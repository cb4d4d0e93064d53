"""The examples of web applications, run as their documentation says."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from corvo_client import AsyncClient
from server_support.process import Process, python
from server_support.waiting import wait_until
from support.server import CorvoServer

EXAMPLES = Path(__file__).parents[2] / "examples"


@asynccontextmanager
async def running(server: CorvoServer, *command: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run an example that serves HTTP. A free port replaces `{port}` in its command."""
    # This socket reserves the port. The program can listen on the port because of SO_REUSEADDR.
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    port = reserved.getsockname()[1]
    arguments = [part.replace("{port}", str(port)) for part in command]
    process = Process(python("-m", *arguments), env={"CORVO_SERVER": server.url}, cwd=EXAMPLES)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web:

            async def answers() -> bool:
                try:
                    await web.get("/nowhere")
                except httpx.TransportError:
                    assert process.is_running, process.output
                    return False
                return True

            await wait_until(answers, "the application answers")
            yield web
        assert await asyncio.to_thread(process.stop) in {0, -15}, process.output
    finally:
        process.close()
        reserved.close()


async def done(server: CorvoServer, job_id: str) -> Any:
    async with AsyncClient(server.url) as client:

        async def result() -> Any:
            job = await client.get_job(job_id)
            return job.result if job.state == "completed" else None

        return await wait_until(result, "the job is done")


async def test_fastapi(server: CorvoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    async with running(server, "uvicorn", "fastapi_app:app", "--port", "{port}") as web:
        answers = await asyncio.gather(
            *(web.post("/signups", json={"email": f"{n}@example.org"}) for n in (1, 2, 1))
        )
        assert [answer.status_code for answer in answers] == [202] * 3
        bodies = [answer.json() for answer in answers]
        assert len({body["job_id"] for body in bodies}) == 2
        assert sorted(body["is_new"] for body in bodies) == [False, True, True]
        job_id = bodies[1]["job_id"]
        assert (await web.get(f"/signups/{job_id}")).json() == {"state": "pending"}
        assert (await web.get("/signups/job_x")).status_code == 404
        assert (await web.post("/signups", json={})).status_code == 422
    monkeypatch.setenv("CORVO_SERVER", server.url)
    async with worker_of("fastapi_app", monkeypatch):
        assert await done(server, job_id) == "Welcome, 2@example.org!"


async def test_sanic(server: CorvoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["sanic", "sanic_app:app", "--port", "{port}", "--single-process", "--no-motd"]
    async with running(server, *command) as web:
        answer = await web.post("/images/cat.png")
        assert answer.status_code == 202
        job_id = answer.json()["job_id"]
    monkeypatch.setenv("CORVO_SERVER", server.url)
    async with worker_of("sanic_app", monkeypatch):
        assert await done(server, job_id) == "cat.png@100"


def worker_of(module: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    import importlib

    monkeypatch.syspath_prepend(EXAMPLES)
    worker = importlib.import_module(module).worker
    del sys.modules[module]
    return worker
