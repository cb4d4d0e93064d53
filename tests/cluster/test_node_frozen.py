"""A node stands still for longer than its leases, and goes on as if nothing had been."""

import asyncio
import signal

from cluster.conftest import StartNodes
from server_support.postgres import PostgresServer
from server_support.waiting import wait_until
from support.api_client import ApiClient
from support.fault_run import ROUNDS, FaultRun
from support.server import CorvoServer

FROZEN = 8.0
"""Seconds: twice the lease of the lead, and many times those of the jobs."""


async def leader_of(nodes: list[CorvoServer]) -> CorvoServer:
    """The node that leads."""

    async def look() -> CorvoServer | None:
        async with ApiClient(nodes[0].url, 5) as api:
            for told in (await api.get("/cluster/status"))["nodes"]:
                if told["role"] == "leader":
                    return next((node for node in nodes if node.url == told["address"]), None)
        return None

    return await wait_until(look, "a node leads")


async def test_a_frozen_node_finds_that_the_work_went_on_without_it(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    nodes = start_nodes(database.url())
    async with FaultRun("one of three nodes frozen", nodes, database.url()) as run:
        for number in range(min(ROUNDS, 3)):
            await run.more(run.chance.randrange(150, 600))
            node = run.chance.choice(nodes) if number % 2 else await leader_of(nodes)
            node.signal(signal.SIGSTOP)
            run.happened["freezes"] += 1
            await asyncio.sleep(FROZEN)
            node.signal(signal.SIGCONT)
        await run.more(500)
        await run.finish()
