"""The database goes down without a word under load, and comes back."""

import asyncio

from cluster.conftest import StartNodes
from support.postgres import PostgresServer
from support.trial import ROUNDS, Trial


async def test_a_database_that_stops_at_once_under_load_loses_nothing(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    nodes = start_nodes(database.url())
    async with Trial("database stopped at once", nodes, database.url()) as trial:
        for number in range(ROUNDS):
            await trial.more(trial.chance.randrange(300, 900))
            if number % 2:
                await asyncio.to_thread(database.kill)
                trial.happened["kills"] += 1
            else:
                await asyncio.to_thread(database.stop, "immediate")
                trial.happened["immediate stops"] += 1
            await asyncio.sleep(trial.chance.random())
            database.start()
        await trial.more(500)
        assert all(node.process.is_running for node in nodes)
        await trial.settle()
