"""Servers of two versions on one database, as during a rolling upgrade."""

import asyncio
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from corvo_server.store.postgres.check import check
from server_support.postgres import execute
from server_support.process import Process
from server_support.waiting import wait_until
from support.api_client import ApiClient, new_name
from support.fault_run import FaultRun
from support.server import CorvoServer, StartServer, server_command
from support.versions import Environment, VersionMissing, version_before, version_to_come

KNOWN = len(
    [
        file
        for file in files("corvo_server.store.postgres.migrations").iterdir()
        if file.name.endswith(".sql")
    ]
)
CHANGES = """
ALTER TABLE jobs ADD COLUMN note text;
CREATE INDEX jobs_note ON jobs (note) WHERE note IS NOT NULL;
"""
COMPATIBLE_CHANGES = f"-- works with servers of schema version: {KNOWN}\n{CHANGES}"
CURRENT: Environment = {}


@pytest.fixture(params=["from the previous version", "to the next version"])
def versions(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Environment, Environment]:
    """The old version and the new version."""
    if request.param == "to the next version":
        return CURRENT, version_to_come(tmp_path / "to-come", COMPATIBLE_CHANGES)
    try:
        return version_before(tmp_path / "before"), CURRENT
    except VersionMissing as missing:
        pytest.skip(str(missing))


async def test_servers_are_replaced_one_by_one_under_load(
    versions: tuple[Environment, Environment], empty_postgres_url: str, make_server: StartServer
) -> None:
    older, newer = versions
    nodes = [make_server(database=empty_postgres_url, database_connections=2) for _ in range(2)]
    for node in nodes:
        node.env = older
        node.start()
    one, other = nodes
    async with FaultRun("two versions", nodes, empty_postgres_url) as run:
        await run.more(200)
        await as_version(one, newer, one.stop)
        await run.more(100)
        assert len(await versions_at(one)) == 2, "only one version runs"
        await as_version(other, older, other.kill)
        await run.more(200)
        assert len(await versions_at(one)) == 2, "the older server did not start again"
        await as_version(other, newer, other.stop)
        await run.more(100)
        await wait_until(lambda: is_of_one_version(one), "no older server is left")
        await run.finish()
    assert check(empty_postgres_url, "corvo") == []


async def as_version(node: CorvoServer, version: Environment, end: Callable[[], object]) -> None:
    """End a server and start it again in another version, on the same port."""
    await asyncio.to_thread(end)
    node.env = version
    await asyncio.to_thread(node.restart)


async def is_of_one_version(node: CorvoServer) -> bool:
    return len(await versions_at(node)) == 1


async def versions_at(node: CorvoServer) -> set[str]:
    async with ApiClient(node.url) as api:
        nodes = (await api.get("/cluster/status"))["nodes"]
        return {node["version"] for node in nodes if node["status"] == "healthy"}


async def test_an_older_server_continues_after_an_incompatible_migration_but_does_not_start_again(
    empty_postgres_url: str, make_server: StartServer, tmp_path: Path
) -> None:
    older, newer = (make_server(database=empty_postgres_url) for _ in range(2))
    older.start()
    newer.env = version_to_come(tmp_path / "to-come", CHANGES)
    newer.start()
    queue = new_name()
    async with ApiClient(older.url) as one, ApiClient(newer.url) as two:
        job_id = await one.enqueue(queue, 1)
        await two.ack(await two.fetch(queue, timeout=5))
        assert await one.state(job_id) == "completed"
    assert await asyncio.to_thread(older.stop) == 0
    command = server_command(older.data_dir, "127.0.0.1:0", {"database": empty_postgres_url})
    again = Process(command)
    assert await asyncio.to_thread(again.wait) == 1
    assert "was written by a newer corvo-server" in again.output
    versions = execute(empty_postgres_url, "SELECT version, oldest FROM corvo.schema_migrations")
    assert max(versions) == (KNOWN + 1, KNOWN + 1)
