"""The network between one node and the database is cut under load, again and again."""

import asyncio
from collections.abc import Iterator

import pytest

from cluster.conftest import StartNodes
from support.network import Network, NetworkMissing
from support.postgres import PostgresServer
from support.trial import ROUNDS, Trial
from support.waiting import wait_until
from support.wire import Wire

CUT = 7.0
"""Seconds: longer than the lease of the lead, and than connections are waited for."""


@pytest.fixture
def network() -> Iterator[Network]:
    try:
        with Network() as network:
            yield network
    except NetworkMissing as missing:
        pytest.skip(str(missing))


async def test_a_node_that_is_cut_off_does_no_harm_and_comes_back(
    network: Network, start_nodes: StartNodes
) -> None:
    with PostgresServer(durable=True, host=network.database_address) as database:
        url = database.init().start().url()
        nodes = start_nodes(url, 2)
        nodes += start_nodes(url, 1, network=network)
        async with Trial("network cut", nodes, url) as trial:
            for _ in range(min(ROUNDS, 3)):
                await trial.more(trial.chance.randrange(150, 600))
                network.cut()
                trial.happened["cuts"] += 1
                await asyncio.sleep(CUT)
                network.mend()
                await wait_until(lambda: _is_well(nodes[-1].url), "the node is back", within=30)
            await trial.more(500)
            assert all(node.process.is_running for node in nodes)
            await trial.settle()


async def _is_well(url: str) -> bool:
    async with Wire(url, 5) as wire:
        return (await wire.send("GET", "/readyz")).status_code == 200
