"""The shop in `examples` runs as its documentation says, and its own tests pass."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from corvo_client import AsyncClient, Job
from server_support.process import Process, clean_environment, python
from server_support.waiting import wait_until
from support.server import CorvoServer, StartServer
from support.web_example import EXAMPLES, web_example

pytest.importorskip("fastapi", reason="`pip install --group extras` has FastAPI")

ORDER = {"number": 7, "email": "ada@example.org", "items": [{"name": "tea", "price": 4.5}]}
JOBS = 2 + 3 + 4 + 1 + 1
"""Orders, forecasts, emails of a newsletter, its callback, and a run of the schedule."""


@pytest.fixture
def shop_server(start_server: StartServer) -> CorvoServer:
    return start_server()


@pytest.fixture
def start_worker(shop_server: CorvoServer) -> Iterator[Any]:
    started: list[Process] = []

    def start() -> Process:
        environment = {"CORVO_SERVER": shop_server.url}
        command = python("-m", "corvo_cli", "worker", "shop.jobs")
        started.append(Process(command, env=environment, cwd=EXAMPLES))
        return started[-1]

    yield start
    for process in started:
        process.close()


async def test_all_jobs_of_the_shop_end(shop_server: CorvoServer, start_worker: Any) -> None:
    deploy(shop_server)
    async with (
        web_example(shop_server, "uvicorn", "shop.web:app", "--port", "{port}") as web,
        AsyncClient(shop_server.url) as client,
    ):
        accepted = await take_orders(web)
        forecasts = [
            (await web.post("/tenants/acme/forecasts", params={"weeks": weeks})).json()["job_id"]
            for weeks in (2, 3)
        ]
        forecasts.append((await web.post("/tenants/zebra/forecasts")).json()["job_id"])
        people = [f"{n}@example.org" for n in range(4)]
        sent = await web.post("/newsletters", json={"subject": "News", "to": people})
        scheduled = await client.run_schedule("remove old carts")
        assert (await web.get(f"/jobs/{accepted}")).json()["state"] == "pending"
        assert (await web.get("/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV")).status_code == 404

        worker = start_worker()
        jobs = await completed(client, worker)
        assert (await web.get(f"/jobs/{accepted}")).json()["state"] == "completed"
        assert jobs[accepted].result == {"sent_to": "ada@example.org", "total": 4.5}
        assert [len(jobs[job_id].result) for job_id in forecasts] == [2, 3, 52]
        batch = await client.get_batch(sent.json()["batch_id"])
        callback = jobs[batch.callback_job_id or ""]
        assert callback.result == "News: 4 of 4 emails are sent"
        assert jobs[scheduled.job_id or ""].result == "carts older than 30 days are removed"
        # One forecast of a tenant at a time, although the worker had free slots for both.
        acme = sorted((jobs[job_id] for job_id in forecasts[:2]), key=lambda job: job.started_at)
        assert acme[0].completed_at <= acme[1].started_at
        assert await asyncio.to_thread(worker.stop) == 0, worker.output


@pytest.mark.parametrize("place", ["in the checkout", "elsewhere"])
def test_the_tests_of_the_shop_pass(tmp_path: Path, place: str) -> None:
    # Without the settings of this repository, and without the plugin that they need.
    directory = EXAMPLES
    if place == "elsewhere":
        directory = tmp_path
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(EXAMPLES / "shop", tmp_path / "shop", ignore=left_out)
    command = python("-m", "pytest", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio")
    done = subprocess.run(
        [*command, "shop"],
        cwd=directory,
        env=clean_environment({"PYTHONDONTWRITEBYTECODE": "1"}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


def deploy(server: CorvoServer) -> None:
    command = python("-m", "shop.deploy")
    environment = clean_environment({"CORVO_SERVER": server.url})
    for _ in range(2):  # each deployment repeats it
        subprocess.run(command, cwd=EXAMPLES, env=environment, timeout=60, check=True)


async def take_orders(web: httpx.AsyncClient) -> str:
    """Place two orders, one of them twice. Return the id of the first job."""
    orders = [ORDER, {**ORDER, "number": 8}, ORDER]
    answers = [await web.post("/orders", json=order) for order in orders]
    assert [answer.status_code for answer in answers] == [202] * 3
    first, _, again = (answer.json() for answer in answers)
    assert again == {"job_id": first["job_id"], "is_new": False}
    assert (await web.post("/orders", json={"number": 9})).status_code == 422
    return str(first["job_id"])


async def completed(client: AsyncClient, worker: Process) -> dict[str, Job]:
    """Wait until all jobs of the shop are completed. Return them by their ids."""

    async def all_of_them() -> dict[str, Job] | None:
        assert worker.is_running, worker.output
        jobs = {job.id: job async for job in client.search_all()}
        done = all(job.state == "completed" for job in jobs.values())
        return jobs if done and len(jobs) == JOBS else None

    return await wait_until(all_of_them, "all jobs are completed")
