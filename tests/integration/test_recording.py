"""Recorded jobs of `corvo_client.testing` behave like the jobs of a real server."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from corvo_client import AsyncClient, BatchOptions, CorvoError, Job
from corvo_client._options import AnyConflict
from corvo_client.testing import recording
from corvo_client.worker import Cancel, Context, Retry, Snooze, Worker
from corvo_schema import new_job_id
from corvo_schema.states import FINISHED
from server_support.waiting import wait_until
from support.api_client import new_name
from support.server import CorvoServer

Story = Callable[[AsyncClient, str], Awaitable[list[Any]]]

COMPARED = (
    "state",
    "payload",
    "priority",
    "attempt",
    "max_retries",
    "retry_backoff",
    "retry_base_delay_ms",
    "retry_max_delay_ms",
    "unique_key",
    "concurrency_key",
    "traceparent",
    "tags",
    "checkpoint",
    "result",
)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def make_worker(server: str | None, queue: str) -> Worker:
    worker = Worker(server, concurrency=1)
    seen: dict[str, int] = {}

    @worker.task(queue)
    async def act(context: Context, do: str = "return", value: Any = None) -> Any:
        seen[context.id] = seen.get(context.id, 0) + 1
        context.checkpoint({"attempt": context.attempt})
        match do:
            case "fail":
                raise ValueError(value)
            case "retry once" if context.attempt == 1:
                raise Retry("once more")
            case "snooze twice" if seen[context.id] <= 2:
                return Snooze(0.001)
            case "cancel":
                return Cancel("not wanted")
            case "unfit":
                return object()
        return value

    return worker


async def options(client: AsyncClient, queue: str) -> list[Any]:
    return [
        await client.enqueue(queue),
        await client.enqueue(queue, {"value": 2**70, "do": "return"}, priority="critical"),
        await client.enqueue(
            queue,
            {"value": {"ä": [1.5, None]}},
            tags={"a b": "c"},
            max_retries=7,
            retry_backoff="linear",
            retry_base_delay="1s",
            retry_max_delay="1m",
            concurrency_key="acme",
            traceparent=TRACE,
        ),
        await client.enqueue(queue, {"unknown": 1}),
        await client.enqueue(queue, [1]),
    ]


async def outcomes(client: AsyncClient, queue: str) -> list[Any]:
    quick: dict[str, Any] = {"retry_backoff": "none"}
    return [
        await client.enqueue(queue, {"do": "fail", "value": "x"}, max_retries=3, **quick),
        await client.enqueue(queue, {"do": "fail"}, max_retries=0, **quick),
        await client.enqueue(queue, {"do": "retry once"}, **quick),
        await client.enqueue(queue, {"do": "retry once"}, max_retries=1, **quick),
        await client.enqueue(queue, {"do": "snooze twice"}, **quick),
        await client.enqueue(queue, {"do": "cancel"}, **quick),
        await client.enqueue(queue, {"do": "unfit"}, **quick),
    ]


async def unique_keys(client: AsyncClient, queue: str) -> list[Any]:
    first = await client.enqueue(queue, {"value": 1}, unique_key="k", delay=600)
    replies: list[Any] = [first]
    conflicts: tuple[AnyConflict, ...] = ("ignore", "reschedule", "replace")
    replies += [
        await client.enqueue(
            queue,
            {"value": conflict},
            unique_key="k",
            on_conflict=conflict,
            tags={"by": conflict},
            delay=500,
        )
        for conflict in conflicts
    ]
    try:
        await client.enqueue(queue, unique_key="k", on_conflict="error")
    except CorvoError as error:
        replies.append(type(error))
    replies.append(await client.enqueue(queue, unique_key="k", on_conflict="replace"))
    return replies


async def batches(client: AsyncClient, queue: str) -> list[Any]:
    jobs: list[Any] = [
        {"queue": queue, "payload": {"value": n}, "unique_key": key, "on_conflict": "replace"}
        for n, key in enumerate(["a", "b", "a"])
    ]
    jobs.append({"queue": queue, "payload": {"do": "fail"}, "max_retries": 1})
    jobs.append({"queue": queue, "delay": 600})
    callback = BatchOptions(callback_queue=queue, callback_payload={"value": "callback"})
    reply = await client.enqueue_batch(jobs, batch=callback)
    cancelled = await client.cancel_job(reply.job_ids[-1])
    batch = await client.get_batch(reply.batch_id or "")
    counts = (batch.total, batch.pending, batch.cancelled)
    return [*reply.results, cancelled, counts]


async def repeats(client: AsyncClient, queue: str) -> list[Any]:
    first = await client.enqueue(queue, {"value": 1}, delay=600)
    again = await client.enqueue(queue, {"value": 1}, job_id=first.job_id, unique_key="new")
    held = await client.enqueue(queue, {"value": 1}, unique_key="k", delay=600)
    await client.enqueue(queue, {"value": 2}, unique_key="k", on_conflict="replace", delay=600)
    replies: list[Any] = [first, again, held]
    replies.append(await client.enqueue(queue, {"value": 1}, job_id=held.job_id))
    await client.cancel_job(held.job_id)
    for other, payload in ((queue, {"value": 2}), ("other", {"value": 1}), ("other", None)):
        try:
            await client.enqueue(other, payload, job_id=first.job_id)
        except CorvoError as error:
            replies.append((type(error), str(error).replace(first.job_id, "").replace(queue, "")))
    jobs: list[dict[str, Any]] = [
        {"queue": queue, "job_id": first.job_id, "payload": {"value": 1}},
        {"queue": queue, "job_id": new_job_id(), "payload": 1},
    ]
    jobs.append({**jobs[1], "payload": 2})
    try:
        await client.enqueue_batch(jobs)
    except CorvoError as error:
        replies.append(type(error))
    await client.cancel_job(first.job_id)
    return [*replies, await client.enqueue(queue, {"value": 1}, job_id=first.job_id)]


async def defaults(client: AsyncClient, queue: str) -> list[Any]:
    """Enqueue with defaults of the queue: by a job, a batch, its callback and a schedule."""
    replies: list[Any] = [
        await client.set_queue_defaults(
            queue,
            priority="high",
            max_retries=7,
            retry_backoff="linear",
            retry_base_delay="1s",
            retry_max_delay="1m",
            unique_period=60,
            expire_after="1h",
            tags={"by": "queue"},
            payload_schema={"type": "object"},
        ),
        await client.enqueue(queue),
        await client.enqueue(queue, priority="normal", tags={}, max_retries=1),
    ]
    jobs: list[Any] = [{"queue": queue}, {"queue": queue, "retry_backoff": "fixed"}]
    callback = BatchOptions(callback_queue=queue, callback_payload={})
    replies += (await client.enqueue_batch(jobs, batch=callback)).results
    await client.put_schedule(queue, queue=queue, cron="@yearly", max_retries=2)
    replies.append((await client.run_schedule(queue)).status)
    held = await client.enqueue(queue, {"value": 1}, unique_key="k", delay=600, max_retries=5)
    replies.append(held)
    replies.append(await client.enqueue(queue, unique_key="k", on_conflict="replace"))
    replies.append(await client.set_queue_defaults(queue, tags={"only": "tags"}))
    replies.append(await client.enqueue(queue))
    replies.append(await client.clear_queue_defaults(queue))
    replies.append(await client.enqueue(queue))
    return replies


def normalized(answers: list[Any], names: dict[str, str]) -> list[Any]:
    """Return the replies with job ids replaced by numbers."""
    plain = []
    for answer in answers:
        members = answer.model_dump() if hasattr(answer, "model_dump") else answer
        if isinstance(members, dict) and "job_id" in members:
            members = {**members, "job_id": names.setdefault(members["job_id"], str(len(names)))}
        plain.append(members)
    return plain


def compared(jobs: list[Job]) -> list[Any]:
    rows = []
    for job in jobs:
        row = job.model_dump(include=set(COMPARED))
        if isinstance(row["payload"], dict):
            row["payload"].pop("batch_id", None)
        if job.state == "completed":
            # A checkpoint may or may not be stored before the ack, so it is not compared.
            del row["checkpoint"]
        rows.append((row, [(error.attempt, error.error) for error in job.errors]))
    return rows


@pytest.mark.parametrize("story", [options, outcomes, unique_keys, batches, repeats, defaults])
async def test_recorded_jobs_behave_like_real_jobs(server: CorvoServer, story: Story) -> None:
    queue = new_name()
    async with AsyncClient(server.url) as client:
        real_answers = normalized(await story(client, queue), {})
        async with make_worker(server.url, queue):

            async def real() -> list[Job]:
                found = [job async for job in client.search_all(queue=queue, order="asc")]
                return found if all(job.state in FINISHED for job in found) else []

            ended = await wait_until(real, "all jobs have ended")
        real_jobs = await client.bulk_get([job.id for job in ended])
    with recording() as recorded:
        async with AsyncClient() as client:
            answers = normalized(await story(client, queue), {})
        await recorded.drain_async(make_worker(None, queue))
    assert answers == real_answers
    assert compared(recorded.all) == compared(real_jobs)


async def settings(client: AsyncClient, name: str) -> list[Any]:
    """Change schedules and queues. Return the replies without ids and times."""
    replies: list[Any] = [
        await client.put_schedule(name, queue=name, cron="@daily", unique_key="k", payload=[1]),
        await client.pause_schedule(name),
        await client.get_schedule(name, upcoming=0),
        await client.run_schedule(name),
        await client.run_schedule(name),
        await client.put_schedule(name, queue=name, cron="5 * * * *", tags={"a": "b"}),
        await client.resume_schedule(name),
        await client.replace_schedule(name, name + "2", queue=name, cron="@hourly"),
        await client.pause_queue(name),
        await client.limit_queue(name, 3, per_key=2),
        await client.limit_queue(name, 0),
        await client.throttle_queue(name, 5, "1m"),
        await client.get_queue(name),
        await client.drain_queue(name),
        await client.unthrottle_queue(name),
        await client.get_queue(name),
        await client.resume_queue(name),
        await client.set_queue_defaults(
            name, retry_base_delay="1500ms", tags={}, payload_schema={"type": "object"}
        ),
        await client.get_queue(name),
        [queue.defaults for queue in await client.list_queues() if queue.name == name],
        await client.set_queue_defaults(name, priority="critical", expire_after="1m"),
        await client.get_queue(name),
        await client.set_queue_defaults(name),
        await client.get_queue(name),
    ]
    missing: tuple[Callable[[str], Awaitable[Any]], ...] = (
        client.get_schedule,
        client.get_queue,
        client.delete_schedule,
    )
    for call in missing:
        try:
            await call(name + "x")
        except CorvoError as error:
            replies.append((type(error), str(error).replace(name, "")))
    try:
        await client.put_schedule(name, queue=name, cron="@nightly")
    except CorvoError as error:
        replies.append(type(error))
    replies.append(await client.delete_schedule(name + "2"))
    changing = ("id", "job_id", "last_job_id", "last_run", "next_run", "created_at", "updated_at")
    return shown(replies, *changing, "upcoming")


def shown(replies: list[Any], *left_out: str) -> list[Any]:
    """Return replies as plain values, without what depends on ids and times."""
    names = {*left_out, "oldest_pending_ms", "warnings", "created_at"}
    members: Any = dict.fromkeys(names, True) | {"defaults": {"updated_at"}}
    return [
        reply.model_dump(exclude=members) if hasattr(reply, "model_dump") else reply
        for reply in replies
    ]


async def test_recorded_settings_behave_like_real_settings(server: CorvoServer) -> None:
    name = new_name()
    async with AsyncClient(server.url) as client:
        real = await settings(client, name)
    with recording():
        async with AsyncClient() as client:
            assert await settings(client, name) == real


async def emptied(client: AsyncClient, name: str) -> list[Any]:
    """Clear and delete queues with jobs of every kind. Return the replies without ids and times."""
    other = name + "-done"
    await client.pause_queue(name)
    await client.set_queue_defaults(name, max_retries=7)
    await client.enqueue(name)
    await client.enqueue(name, delay=600, unique_key="k")
    kept = await client.enqueue(name)
    await client.cancel_job(kept.job_id)
    batch = await client.enqueue_batch(
        [{"queue": name}, {"queue": name, "delay": 600}], batch=BatchOptions(callback_queue=other)
    )
    replies: list[Any] = [
        await client.clear_queue(name),
        await client.get_queue(name),
        await client.get_queue(other),
        await client.get_batch(batch.batch_id or ""),
        (await client.enqueue(name, unique_key="k")).unique_existing,
        (await client.get_job(kept.job_id)).state,
    ]
    # The callback of this batch is a newer job of the queue that is deleted.
    batch = await client.enqueue_batch(
        [{"queue": name}], batch=BatchOptions(callback_queue=name, callback_payload=1)
    )
    replies += [
        await client.delete_queue(name),
        await client.get_queue(name),
        (await client.get_batch(batch.batch_id or "")).state,
        await client.delete_queue(name),
        await client.delete_queue(other),
    ]
    calls: tuple[Callable[[str], Awaitable[Any]], ...] = (
        client.get_queue,
        client.clear_queue,
        client.delete_queue,
    )
    for call in calls:
        try:
            await call(name)
        except CorvoError as error:
            replies.append((type(error), str(error).replace(name, "")))
    replies = shown(replies, "id", "callback_job_id", "finished_at", "callback_queue")
    return [
        {**reply, "name": reply["name"].replace(name, "")}
        if isinstance(reply, dict) and "name" in reply
        else reply
        for reply in replies
    ]


async def test_recorded_queues_are_emptied_like_real_ones(server: CorvoServer) -> None:
    name = new_name()
    async with AsyncClient(server.url) as client:
        real = await emptied(client, name)
    with recording():
        async with AsyncClient() as client:
            assert await emptied(client, name) == real
