"""Tests of the shop: with recorded jobs, and with a server."""

import asyncio
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from corvo_client import AsyncClient, Client
from corvo_client.testing import RecordedJobs
from shop import deploy
from shop.jobs import confirm_order, send_newsletter, worker
from shop.web import app

ORDER = {"number": 7, "email": "ada@example.org", "items": [{"name": "tea", "price": 4.5}]}


@pytest.fixture
def web(corvo_jobs: RecordedJobs) -> Iterator[TestClient]:
    """Return a client of the application. Its jobs are recorded."""
    with TestClient(app) as client:
        yield client


def test_an_order_is_confirmed_once(web: TestClient, corvo_jobs: RecordedJobs) -> None:
    first, again = (web.post("/orders", json=ORDER).json() for _ in range(2))
    assert again == {"job_id": first["job_id"], "is_new": False}
    job = corvo_jobs.assert_enqueued(confirm_order, email="ada@example.org")
    corvo_jobs.drain(worker, raise_errors=True)
    assert job.result == {"sent_to": "ada@example.org", "total": 4.5}
    assert web.get(f"/jobs/{job.id}").json() == {"state": "completed", "progress": None}


def test_an_order_without_an_email_is_refused(web: TestClient, corvo_jobs: RecordedJobs) -> None:
    assert web.post("/orders", json={"number": 7, "items": []}).status_code == 422
    corvo_jobs.assert_not_enqueued()


def test_a_newsletter_is_reported_once(web: TestClient, corvo_jobs: RecordedJobs) -> None:
    people = [f"{n}@example.org" for n in range(3)]
    web.post("/newsletters", json={"subject": "News", "to": people})
    assert len(corvo_jobs.enqueued(send_newsletter)) == 3
    corvo_jobs.drain(worker, raise_errors=True)
    (report,) = corvo_jobs.enqueued("newsletters.report")
    assert report.result == "News: 3 of 3 emails are sent"


def test_an_unknown_job_is_not_found(web: TestClient) -> None:
    assert web.get("/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV").status_code == 404


def test_a_server_runs_the_schedule_and_the_forecasts(
    corvo_server: str, corvo_client: Client
) -> None:
    deploy.main()
    with TestClient(app) as web:
        started = [web.post("/tenants/acme/forecasts?weeks=3").json() for _ in range(2)]
    scheduled = corvo_client.run_schedule("remove old carts").job_id or ""
    asyncio.run(run_worker_until_done([scheduled, *(reply["job_id"] for reply in started)]))
    assert corvo_client.get_job(scheduled).result == "carts older than 30 days are removed"
    first, second = (corvo_client.get_job(reply["job_id"]).result for reply in started)
    assert first == second
    assert len(first) == 3


async def run_worker_until_done(job_ids: list[str]) -> None:
    """Run the worker in this process until the jobs are completed."""
    async with asyncio.timeout(60), AsyncClient() as client, worker:
        while True:
            jobs = await client.bulk_get(job_ids)
            if all(job.state == "completed" for job in jobs):
                return
            await asyncio.sleep(0.05)
