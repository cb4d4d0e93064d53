"""A node is suspended for longer than its leases and resumes."""

import asyncio
import signal

from cluster.conftest import StartNodes
from server_support.postgres import PostgresServer
from server_support.waiting import wait_until
from support.api_client import ApiClient
from support.fault_run import ROUNDS, FaultRun
from support.server import CorvoServer

FROZEN = 8.0
"""Seconds of each suspension: twice the leader lease, and several times the leases of jobs."""


async def leader_of(nodes: list[CorvoServer]) -> CorvoServer:
    """Wait until a node is the leader, and return that node."""

    async def leader() -> CorvoServer | None:
        async with ApiClient(nodes[0].url, 5) as api:
            for entry in (await api.get("/cluster/status"))["nodes"]:
                if entry["role"] == "leader":
                    return next((node for node in nodes if node.url == entry["address"]), None)
        return None

    return await wait_until(leader, "a node is the leader")


async def test_a_suspended_node_resumes_without_an_error(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    nodes = start_nodes(database.url())
    async with FaultRun("one of three nodes suspended", nodes, database.url()) as run:
        for number in range(min(ROUNDS, 3)):
            await run.more(run.chance.randrange(150, 600))
            node = run.chance.choice(nodes) if number % 2 else await leader_of(nodes)
            node.signal(signal.SIGSTOP)
            run.happened["freezes"] += 1
            await asyncio.sleep(FROZEN)
            node.signal(signal.SIGCONT)
        await run.more(500)
        await run.finish()
