"""Repeated kill -9 of one of three nodes under load."""

import asyncio

from cluster.conftest import StartNodes
from server_support.postgres import PostgresServer
from support.fault_run import ROUNDS, FaultRun


async def test_nodes_that_are_killed_under_load_lose_nothing(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    nodes = start_nodes(database.url())
    async with FaultRun("one of three nodes killed", nodes, database.url()) as run:
        for _ in range(ROUNDS):
            await run.more(run.chance.randrange(150, 600))
            node = run.chance.choice(nodes)
            await asyncio.to_thread(node.kill)
            run.happened["kills"] += 1
            await run.more(run.chance.randrange(100, 400))
            await asyncio.to_thread(node.restart)
        await run.finish()
