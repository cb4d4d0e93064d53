"""The network between one node and the database is cut under load, again and again."""

import asyncio
import sys
from collections.abc import Iterator

import psycopg
import pytest

from cluster.conftest import StartNodes, lack
from server_support.postgres import PostgresServer
from server_support.process import Process
from server_support.waiting import wait_until
from support.api_client import ApiClient
from support.fault_run import ROUNDS, FaultRun
from support.network import Network, NetworkMissing

CUT = 7.0
"""Seconds: longer than the lease of the lead, and than connections are waited for."""

HOLDER = """
import sys, time
from corvo_server.store.postgres.database import connect

connection = connect(sys.argv[1])
with connection.pipeline():
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(1)").fetchall()
    print("locked", flush=True)
    time.sleep(3600)
"""
"""In the midst of sending: the database waits for more, and no timeout of its own ends that."""


@pytest.fixture
def network() -> Iterator[Network]:
    try:
        with Network() as network:
            yield network
    except NetworkMissing as missing:
        lack(str(missing))


async def test_a_node_that_is_cut_off_does_no_harm_and_comes_back(
    network: Network, start_nodes: StartNodes
) -> None:
    with PostgresServer(durable=True, host=network.database_address) as database:
        url = database.init().start().url()
        nodes = start_nodes(url, 2)
        nodes += start_nodes(url, 1, network=network)
        async with FaultRun("network cut", nodes, url) as run:
            for _ in range(min(ROUNDS, 3)):
                await run.more(run.chance.randrange(150, 600))
                network.cut()
                run.happened["cuts"] += 1
                await asyncio.sleep(CUT)
                network.restore()
                await wait_until(lambda: _is_well(nodes[-1].url), "the node is back", within=30)
            await run.more(500)
            assert all(node.process.is_running for node in nodes)
            await run.finish()


def test_the_database_frees_what_a_node_had_locked_that_is_cut_off(network: Network) -> None:
    with PostgresServer(host=network.database_address) as database:
        url = database.init().start().url()
        holder = Process([*network.prefix, sys.executable, "-c", HOLDER, url])
        try:
            holder.wait_for_line(lambda line: "locked" in line, "the lock is taken")
            network.cut()
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("SET lock_timeout = '30s'")
                other.execute("SELECT pg_advisory_lock(1)")
        finally:
            holder.kill()


async def _is_well(url: str) -> bool:
    async with ApiClient(url, 5) as api:
        return (await api.send("GET", "/readyz")).status_code == 200
