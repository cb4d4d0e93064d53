"""Background bulk operations and streams, with both clients on a real server."""

from contextlib import aclosing, closing

import pytest

from corvo_client import AsyncClient, BulkStopped, Client, InvalidState, NotFound, calls
from support.server import CorvoServer, StartServer


async def test_an_operation_is_looked_up_by_its_id(server: CorvoServer, queue: str) -> None:
    async with AsyncClient(server.url) as client:
        await client.enqueue_batch([{"queue": queue}] * 30)
        started = await client.start_bulk("cancel", filters={"queue": queue})
        done = await client.bulk_handle(started.id).wait(timeout=20)
        assert (done.status, done.affected) == ("completed", 30)
        assert await client.get_bulk(started.id) == done
        assert (await client.get_queue(queue)).cancelled == 30
        with pytest.raises(InvalidState):
            await client.cancel_bulk(started.id)
        with pytest.raises(NotFound):
            await client.get_bulk("bulk_01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_an_operation_is_looked_up_by_its_id_with_the_sync_client(
    server: CorvoServer, queue: str
) -> None:
    with Client(server.url) as client:
        client.enqueue_batch([{"queue": queue}] * 30)
        started = client.start_bulk("cancel", filters={"queue": queue})
        done = client.bulk_handle(started.id).wait(timeout=20)
        assert (done.status, done.affected) == ("completed", 30)
        assert client.get_bulk(started.id) == done
        with pytest.raises(InvalidState):
            client.cancel_bulk(started.id)


async def test_a_stopped_operation_does_not_change_the_remaining_jobs(
    start_server: StartServer,
) -> None:
    """The operation stops before its end: changed jobs stay changed, others stay unchanged."""
    server = start_server()
    total = 30_000
    async with AsyncClient(server.url) as client:
        for _ in range(3):
            await client.enqueue_batch([{"queue": "q"}] * (total // 3))
        handle = await client.start_bulk("cancel", filters={"queue": "q"})
        stopped = await client.cancel_bulk(handle.id)
        with pytest.raises(BulkStopped):
            await handle.wait(timeout=20)
        ended = await client.get_bulk(handle.id)
        assert ended.status == stopped.status == "cancelled"
        queue = await client.get_queue("q")
        assert queue.cancelled == ended.affected < total
        assert queue.pending == total - ended.affected


async def test_a_stream_is_followed_as_a_value(server: CorvoServer, queue: str) -> None:
    async with AsyncClient(server.url) as client:
        job_id = (await client.enqueue(queue)).job_id
        stream = calls.follow_events(queues=[queue], after=0)
        async with aclosing(client.follow(stream)) as events:
            event = await anext(events)
    assert (event.job_id, event.type) == (job_id, "enqueued")


def test_a_stream_is_followed_as_a_value_with_the_sync_client(
    server: CorvoServer, queue: str
) -> None:
    with Client(server.url) as client:
        job_id = client.enqueue(queue).job_id
        stream = calls.follow_events(queues=[queue], after=0)
        with closing(client.follow(stream)) as events:
            event = next(events)
    assert (event.job_id, event.type) == (job_id, "enqueued")
