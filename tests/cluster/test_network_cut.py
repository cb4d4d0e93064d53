"""The network between one node and the database is cut repeatedly under load."""

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
"""Seconds of each cut: longer than the leader lease and the timeout of connections."""

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
"""A client that is cut off in an open pipeline. No timeout of the database ends its transaction."""


@pytest.fixture
def network() -> Iterator[Network]:
    try:
        with Network() as network:
            yield network
    except NetworkMissing as missing:
        lack(str(missing))


async def test_a_node_that_is_cut_off_breaks_nothing_and_recovers(
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
                await wait_until(
                    lambda: _is_ready(nodes[-1].url), "the node is ready again", within=30
                )
            await run.more(500)
            assert all(node.process.is_running for node in nodes)
            await run.finish()


def test_the_database_releases_the_locks_of_a_node_that_is_cut_off(network: Network) -> None:
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


async def _is_ready(url: str) -> bool:
    async with ApiClient(url, 5) as api:
        return (await api.send("GET", "/readyz")).status_code == 200
