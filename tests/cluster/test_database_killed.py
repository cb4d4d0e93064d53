"""The database shuts down abruptly under load and starts again."""

import asyncio

from cluster.conftest import StartNodes
from server_support.postgres import PostgresServer
from support.fault_run import ROUNDS, FaultRun


async def test_a_database_that_stops_abruptly_under_load_loses_nothing(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    nodes = start_nodes(database.url())
    async with FaultRun("database stopped abruptly", nodes, database.url()) as run:
        for number in range(ROUNDS):
            await run.more(run.chance.randrange(300, 900))
            if number % 2:
                await asyncio.to_thread(database.kill)
                run.happened["kills"] += 1
            else:
                await asyncio.to_thread(database.stop, "immediate")
                run.happened["immediate stops"] += 1
            await asyncio.sleep(run.chance.random())
            database.start()
        await run.more(500)
        assert all(node.process.is_running for node in nodes)
        await run.finish()
