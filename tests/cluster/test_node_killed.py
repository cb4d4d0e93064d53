"""kill -9 of one of three nodes under load, again and again."""

import asyncio

from cluster.conftest import StartNodes
from support.postgres import PostgresServer
from support.trial import ROUNDS, Trial


async def test_nodes_that_are_killed_under_load_lose_nothing(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    nodes = start_nodes(database.url())
    async with Trial("one of three nodes killed", nodes, database.url()) as trial:
        for _ in range(ROUNDS):
            await trial.more(trial.chance.randrange(150, 600))
            node = trial.chance.choice(nodes)
            await asyncio.to_thread(node.kill)
            trial.happened["kills"] += 1
            await trial.more(trial.chance.randrange(100, 400))
            await asyncio.to_thread(node.restart)
        await trial.settle()
