"""Nodes on machines whose clocks differ by ten minutes."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cluster.conftest import StartNodes, lack
from server_support.postgres import PostgresServer
from support.fault_run import FaultRun

CLOCKS = ("-10m", "+0m", "+10m")


@pytest.fixture
def faketime() -> Path:
    """The path of the library that changes the time of a process."""
    named = os.environ.get("CORVO_FAKETIME_LIBRARY")
    if named:
        return Path(named)
    folders = (Path("/usr/lib"), Path("/usr/local/lib"))
    found = [lib for folder in folders for lib in folder.glob("**/faketime/libfaketimeMT.so.1")]
    if not found:
        lack("libfaketime is not installed (Debian: apt-get install libfaketime)")
    return found[0]


async def test_nodes_with_wrong_clocks_use_the_clock_of_the_database(
    database: PostgresServer, start_nodes: StartNodes, faketime: Path
) -> None:
    env = {
        number: {
            "LD_PRELOAD": str(faketime),
            "FAKETIME": offset,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        for number, offset in enumerate(CLOCKS)
    }
    nodes = start_nodes(database.url(), env=env)
    shown = {datetime.fromisoformat(str(node.log[0]["time"])) for node in nodes}
    assert max(shown) - min(shown) > timedelta(minutes=19), "libfaketime has no effect"
    async with FaultRun("clocks ten minutes apart", nodes, database.url()) as run:
        await run.more(3000, within=120)
        run.happened["clocks apart"] = len(CLOCKS)
        await run.finish()
