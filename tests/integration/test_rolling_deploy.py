"""A deploy that changes signatures: workers of both releases run, with jobs of both releases."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from corvo_client import AsyncClient, Job
from corvo_schema import EnqueueRequest
from server_support.process import Process, python
from server_support.waiting import wait_until
from support import release_program
from support.release_program import RELEASES, Letter
from support.server import CorvoServer

Expected = list[tuple[EnqueueRequest, Any]]
PROGRAM = Path(release_program.__file__)
JOBS = 10


@pytest.fixture
async def client(server: CorvoServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as client:
        yield client


@contextmanager
def running(server: CorvoServer, release: str, prefix: str) -> Iterator[Process]:
    process = Process(python(PROGRAM, release, prefix), env={"CORVO_SERVER": server.url})
    try:
        process.wait_for_line(lambda line: line.strip() == "running", "the worker runs")
        yield process
        assert process.stop() == 0, process.output
    finally:
        process.close()


def of_both(prefix: str) -> Expected:
    """Return jobs that both releases enqueue and that both can run, with their results."""
    jobs: Expected = []
    for make in RELEASES.values():
        tasks: Any = make(prefix).tasks
        for number in range(JOBS):
            letter = Letter(to=f"user {number}")
            jobs.append((tasks[f"{prefix}.letters"].request(letter), [letter.to, False]))
            jobs.append((tasks[f"{prefix}.sums"].request(number), number))
    return jobs


def of_new(prefix: str) -> Expected:
    """Return jobs that only the new release can run, with their results."""
    tasks: Any = RELEASES["new"](prefix).tasks
    jobs: Expected = []
    for number in range(JOBS):
        letter = Letter(to=f"user {number}")
        jobs.append((tasks[f"{prefix}.letters"].request(letter, urgent=True), [letter.to, True]))
        jobs.append((tasks[f"{prefix}.sums"].request(number, right=1), number + 1))
    return jobs


async def enqueue(client: AsyncClient, jobs: Expected) -> dict[str, Any]:
    """Enqueue the jobs. Return their results by id."""
    reply = await client.enqueue_batch([request for request, _ in jobs])
    return dict(zip(reply.job_ids, [result for _, result in jobs], strict=True))


async def read(client: AsyncClient, ids: Any) -> list[Job]:
    return await client.bulk_get(ids)


async def see_results(client: AsyncClient, expected: dict[str, Any]) -> list[Job]:
    """Wait until all jobs are completed. Return them."""

    async def completed() -> list[Job] | None:
        jobs = await read(client, expected)
        states = {str(job.state) for job in jobs}
        assert len(jobs) == len(expected)
        assert not states & {"dead", "cancelled"}, states
        return jobs if states == {"completed"} else None

    jobs = await wait_until(completed, "all jobs are completed")
    assert {job.id: job.result for job in jobs} == expected
    return jobs


async def test_a_deploy_loses_no_job(server: CorvoServer, client: AsyncClient, queue: str) -> None:
    with running(server, "old", queue) as old:
        common = await enqueue(client, of_both(queue))
        assert not any(job.errors for job in await see_results(client, common))
        newer = await enqueue(client, of_new(queue))

        async def have_all_failed() -> bool:
            return all(job.errors for job in await read(client, newer))

        await wait_until(have_all_failed, "the old worker has tried each job of the new release")
        for job in await read(client, newer):
            assert job.state in {"retrying", "pending", "active"}
            assert "another release has enqueued this job" in job.errors[0].error
        with running(server, "new", queue):
            common = await enqueue(client, of_both(queue))
            newer |= await enqueue(client, of_new(queue))
            assert not any(job.errors for job in await see_results(client, common))
            assert await asyncio.to_thread(old.stop) == 0
            await see_results(client, newer)


async def test_a_rollback_loses_no_job(
    server: CorvoServer, client: AsyncClient, queue: str
) -> None:
    with running(server, "new", queue) as new:
        expected = await enqueue(client, of_both(queue) + of_new(queue))
        assert not any(job.errors for job in await see_results(client, expected))
        with running(server, "old", queue):
            common = await enqueue(client, of_both(queue))
            newer = await enqueue(client, of_new(queue))
            await see_results(client, common)
            assert await asyncio.to_thread(new.stop) == 0
            # Jobs that the new release left behind wait for it. The others run as before.
            assert not any(
                job.errors
                for job in await see_results(client, await enqueue(client, of_both(queue)))
            )
            states = {str(job.state) for job in await read(client, newer)}
            assert states <= {"completed", "retrying", "pending", "active"}
    with running(server, "new", queue):
        await see_results(client, newer)
