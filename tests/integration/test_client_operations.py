"""The client's methods for operators: search, bulk, schedules, events and metrics, on a server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from corvo_client import AsyncClient, JobEvent, ValidationFailed
from server_support.waiting import wait_until
from support.server import CorvoServer, StartServer


@pytest.fixture
async def client(server: CorvoServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as client:
        yield client


async def enqueue_many(client: AsyncClient, queue: str, count: int) -> list[str]:
    reply = await client.enqueue_batch([{"queue": queue, "payload": n} for n in range(count)])
    return reply.job_ids


async def test_search_reads_all_pages(client: AsyncClient, queue: str) -> None:
    job_ids = await enqueue_many(client, queue, 25)
    page = await client.search(queue=queue, state="pending", limit=10)
    assert (page.total, len(page.jobs), page.has_more) == (25, 10, True)
    found = [job.id async for job in client.search_all(queue=queue, order="asc", page_size=7)]
    assert found == job_ids


async def test_bulk_changes_the_jobs_that_match(client: AsyncClient, queue: str) -> None:
    job_ids = await enqueue_many(client, queue, 20)
    moved = await client.bulk("move", filters={"queue": queue}, move_to_queue=f"{queue}.2")
    assert (moved.affected, moved.errors) == (20, 0)
    handle = await client.start_bulk("cancel", job_ids=job_ids)
    steps = [step async for step in handle.progress()]
    assert steps[-1].status == "completed"
    done = await handle.wait()
    assert (done.total, done.affected) == (20, 20)
    assert handle.id in {operation.id for operation in await client.list_bulk()}
    again = await client.bulk("cancel", job_ids=job_ids)
    assert (again.affected, again.errors) == (0, 20)


async def test_schedule_is_written_changed_and_run(client: AsyncClient, queue: str) -> None:
    made = await client.put_schedule(
        queue, queue=queue, cron="0 3 * * *", timezone="Europe/Berlin", payload={"n": 1}
    )
    assert (await client.put_schedule(queue, queue=queue, cron="0 4 * * *")).id == made.id
    assert len(await client.upcoming_runs(made.id, 7)) == 7
    assert (await client.run_schedule(queue)).status == "enqueued"
    await client.pause_schedule(queue)
    assert (await client.get_schedule(queue)).paused
    await client.resume_schedule(queue)
    renamed = await client.replace_schedule(queue, f"{queue}.2", queue=queue, cron="@daily")
    assert renamed.id == made.id
    assert renamed.name in {schedule.name for schedule in await client.list_schedules()}
    assert (await client.delete_schedule(made.id)).status == "deleted"
    with pytest.raises(ValidationFailed, match="minute"):
        await client.put_schedule(queue, queue=queue, cron="61 * * * *")


async def test_metrics_are_those_of_the_server(client: AsyncClient) -> None:
    assert "# HELP corvo_" in await client.metrics()


async def test_events_are_followed_over_a_restart_without_a_gap(start_server: StartServer) -> None:
    server = start_server()
    seen: list[JobEvent] = []
    job_ids: list[str] = []
    async with AsyncClient(server.url) as client:

        async def follow() -> None:
            async for event in client.follow_events(queues="q", types="enqueued", after=0):
                seen.append(event)  # noqa: PERF401 - each as soon as it arrives

        following = asyncio.create_task(follow())
        for _ in range(2):
            job_ids.append((await client.enqueue("q")).job_id)
            await client.enqueue("other")
            await wait_until(lambda: len(seen) == len(job_ids), "the event")
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.restart)
            job_ids.append((await client.enqueue("q")).job_id)
            await wait_until(lambda: len(seen) == len(job_ids), "the event after a restart")
    await asyncio.wait_for(following, 10)
    assert [event.job_id for event in seen] == job_ids


async def test_events_are_resumed_after_an_id(client: AsyncClient, queue: str) -> None:
    job_ids = await enqueue_many(client, queue, 3)
    async with aclosing(client.follow_events(queues=[queue], after=0)) as events:
        first = await anext(events)
    async with aclosing(client.follow_events(queues=[queue], after=first.id)) as events:
        rest = [await anext(events), await anext(events)]
    assert [event.job_id for event in (first, *rest)] == job_ids
