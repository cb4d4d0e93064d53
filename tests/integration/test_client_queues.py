"""The methods of both clients for queues and for the server, against a real server."""

from datetime import UTC, datetime, timedelta

import pytest

from corvo_client import AsyncClient, NotFound
from support.api_client import new_name


async def test_a_queue_is_paused_and_resumed(client: AsyncClient, queue: str) -> None:
    await client.enqueue(queue)
    assert (await client.pause_queue(queue)).status == "paused"
    assert (await client.get_queue(queue)).paused
    assert await client.fetch([queue], worker_id="w", timeout=0) is None
    assert (await client.resume_queue(queue)).status == "resumed"
    assert await client.fetch([queue], worker_id="w", timeout=0) is not None


async def test_queues_are_listed_with_their_counts(client: AsyncClient, queue: str) -> None:
    await client.enqueue_batch([{"queue": queue}] * 3)
    await client.fetch([queue], worker_id="w", timeout=0)
    (found,) = [info for info in await client.list_queues() if info.name == queue]
    assert (found.pending, found.active, found.enqueued, found.failed) == (2, 1, 3, 0)
    assert not found.paused
    with pytest.raises(NotFound):
        await client.get_queue(new_name())


async def test_a_queue_name_can_contain_a_slash(client: AsyncClient) -> None:
    name = f"a/b/../{new_name()}"
    await client.enqueue(name)
    assert (await client.get_queue(name)).pending == 1


async def test_a_drained_queue_returns_no_jobs(client: AsyncClient, queue: str) -> None:
    await client.enqueue(queue)
    assert (await client.drain_queue(queue)).status == "draining"
    assert (await client.get_queue(queue)).draining
    assert await client.fetch([queue], worker_id="w", timeout=0) is None


async def test_a_queue_is_cleared_and_deleted(client: AsyncClient, queue: str) -> None:
    await client.enqueue_batch([{"queue": queue}] * 3)
    cleared = await client.clear_queue(queue)
    assert (cleared.status, cleared.deleted) == ("cleared", 3)
    assert (await client.get_queue(queue)).pending == 0
    await client.enqueue(queue)
    deleted = await client.delete_queue(queue)
    assert (deleted.status, deleted.deleted) == ("deleted", 1)
    with pytest.raises(NotFound):
        await client.get_queue(queue)


async def test_a_queue_is_limited(client: AsyncClient, queue: str) -> None:
    await client.enqueue_batch([{"queue": queue}] * 4)
    assert (await client.limit_queue(queue, 2)).status == "ok"
    assert (await client.get_queue(queue)).max_concurrency == 2
    assert len(await client.fetch_batch([queue], worker_id="w", count=9, timeout=0)) == 2
    await client.limit_queue(queue, 0)
    assert (await client.get_queue(queue)).max_concurrency is None
    assert len(await client.fetch_batch([queue], worker_id="w", count=9, timeout=0)) == 2


async def test_a_queue_is_throttled(client: AsyncClient, queue: str) -> None:
    await client.enqueue_batch([{"queue": queue}] * 4)
    assert (await client.throttle_queue(queue, 3, "1h")).status == "ok"
    info = await client.get_queue(queue)
    assert (info.rate_limit, info.rate_window_ms) == (3, 3_600_000)
    assert len(await client.fetch_batch([queue], worker_id="w", count=9, timeout=0)) == 3
    assert (await client.unthrottle_queue(queue)).status == "ok"
    assert len(await client.fetch_batch([queue], worker_id="w", count=9, timeout=0)) == 1


async def test_a_queue_has_default_options(client: AsyncClient, queue: str) -> None:
    assert (
        await client.set_queue_defaults(queue, max_retries=7, tags={"team": "mail"})
    ).status == "ok"
    job = await client.get_job((await client.enqueue(queue, tags={})).job_id)
    assert (job.max_retries, job.tags) == (7, {})
    assert (await client.clear_queue_defaults(queue)).status == "ok"
    assert (await client.get_queue(queue)).defaults is None
    assert (await client.get_job((await client.enqueue(queue)).job_id)).max_retries == 3


async def test_workers_are_listed(client: AsyncClient, queue: str) -> None:
    worker_id = new_name("worker")
    await client.enqueue(queue)
    await client.fetch([queue], worker_id=worker_id, hostname="host-7", timeout=0)
    (found,) = [info for info in await client.list_workers() if info.id == worker_id]
    assert (found.hostname, found.queues, found.active_jobs) == ("host-7", [queue], 1)
    one = await client.get_worker(worker_id)
    assert (one.id, one.hostname, one.queues, one.active_jobs) == (worker_id, "host-7", [queue], 1)
    with pytest.raises(NotFound, match="no worker nobody"):
        await client.get_worker("nobody")


async def test_audit_lists_who_changed_a_queue(client: AsyncClient, queue: str) -> None:
    await client.pause_queue(queue)
    await client.resume_queue(queue)
    page = await client.list_audit(queue=queue, since=datetime.now(UTC) - timedelta(hours=1))
    assert [entry.operation for entry in page.entries] == ["resume_queue", "pause_queue"]
    newest = page.entries[0]
    assert (newest.by, newest.target, newest.outcome) == ("anonymous", queue, "done")
    assert (newest.before, newest.after) == (
        {"is_paused": True, "is_draining": False},
        {"is_paused": False, "is_draining": False},
    )
    first = await client.list_audit(queue=queue, operation="pause_queue", since="1h", limit=1)
    assert (first.entries, first.has_more) == (page.entries[1:], False)
    assert (await client.list_audit(queue=queue, until="1h")).entries == []


async def test_info_and_cluster_status_describe_the_server(
    client: AsyncClient, engine_name: str
) -> None:
    info = await client.info()
    assert info.api_version == "1"
    assert info.server_version
    assert (await client.healthz()).status == "ok"
    assert (await client.readyz()).status == "ok"
    cluster = await client.cluster_status()
    mode = "single" if engine_name == "sqlite" else "cluster"
    assert (cluster.mode, cluster.status, len(cluster.nodes)) == (mode, "healthy", 1)
