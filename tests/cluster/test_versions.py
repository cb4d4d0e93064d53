"""Servers of different versions on one database, simulated with a single version."""

import asyncio

from cluster.conftest import StartNodes
from server_support.postgres import PostgresServer
from server_support.process import Process
from support.api_client import ApiClient, new_name
from support.server import CorvoServer, server_command

NEXT_VERSION = """
INSERT INTO corvo.schema_migrations
SELECT max(version) + 1, 'of_a_newer_server', 0 FROM corvo.schema_migrations
"""


async def test_servers_that_start_together_create_the_tables_once(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    batches = await asyncio.gather(
        *(asyncio.to_thread(start_nodes, database.url(), 1) for _ in range(4))
    )
    nodes = [node for batch in batches for node in batch]
    made = [message for node in nodes for message in node.messages() if "migrated" in message]
    assert made == [
        "schema migrated to version 1 (initial)",
        "schema migrated to version 2 (clock)",
        "schema migrated to version 3 (defaults)",
        "schema migrated to version 4 (workers)",
        "schema migrated to version 5 (keys)",
        "schema migrated to version 6 (limits)",
        "schema migrated to version 7 (audit)",
        "schema migrated to version 8 (webhooks)",
    ]
    async with ApiClient(nodes[0].url) as api:
        assert len((await api.get("/cluster/status"))["nodes"]) == 4


async def test_an_older_server_continues_beside_a_newer_one_but_does_not_start_again(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    older, other = start_nodes(database.url(), 2)
    database.execute(NEXT_VERSION)
    queue = new_name()
    async with ApiClient(older.url) as one, ApiClient(other.url) as two:
        job_id = await one.enqueue(queue, 1)
        job = await two.fetch(queue, timeout=5)
        await one.ack(job)
        assert await two.state(job_id) == "completed"
    await asyncio.to_thread(other.stop)
    code, output = await asyncio.to_thread(_start_again, other, database.url())
    assert code == 1
    assert "was written by a newer corvo-server" in output
    assert older.process.is_running


async def test_servers_are_replaced_one_by_one_while_a_client_works(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    nodes = start_nodes(database.url(), 2)
    queue = new_name()
    for node in nodes:
        async with ApiClient(node.url) as api:
            job_id = await api.enqueue(queue, 1)
        assert await asyncio.to_thread(node.stop) == 0
        (rest,) = [one for one in nodes if one is not node]
        async with ApiClient(rest.url) as api:
            assert len((await api.get("/cluster/status"))["nodes"]) == 1, (
                "the stopped node is still listed"
            )
            await api.ack(await api.fetch(queue))
            assert await api.state(job_id) == "completed"
        await asyncio.to_thread(node.restart)


def _start_again(server: CorvoServer, url: str) -> tuple[int, str]:
    command = server_command(server.data_dir, "127.0.0.1:0", {"database": url})
    process = Process(command)
    return process.wait(), process.output
