"""A node stands still for longer than its leases, and goes on as if nothing had been."""

import asyncio
import signal

from cluster.conftest import StartNodes
from support.postgres import PostgresServer
from support.server import CorvoServer
from support.trial import ROUNDS, Trial
from support.waiting import wait_until
from support.wire import Wire

FROZEN = 8.0
"""Seconds: twice the lease of the lead, and many times those of the jobs."""


async def leader_of(nodes: list[CorvoServer]) -> CorvoServer:
    """The node that leads."""

    async def look() -> CorvoServer | None:
        async with Wire(nodes[0].url, 5) as wire:
            for told in (await wire.get("/cluster/status"))["nodes"]:
                if told["role"] == "leader":
                    return next((node for node in nodes if node.url == told["address"]), None)
        return None

    return await wait_until(look, "a node leads")


async def test_a_frozen_node_finds_that_the_work_went_on_without_it(
    database: PostgresServer, start_nodes: StartNodes
) -> None:
    nodes = start_nodes(database.url())
    async with Trial("one of three nodes frozen", nodes, database.url()) as trial:
        for number in range(min(ROUNDS, 3)):
            await trial.more(trial.chance.randrange(150, 600))
            node = trial.chance.choice(nodes) if number % 2 else await leader_of(nodes)
            node.signal(signal.SIGSTOP)
            trial.happened["freezes"] += 1
            await asyncio.sleep(FROZEN)
            node.signal(signal.SIGCONT)
        await trial.more(500)
        await trial.settle()
