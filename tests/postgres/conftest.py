"""Corvo servers on PostgreSQL, some of them behind a pooler."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server_support.databases import Databases
from server_support.engines import pgbouncer_or_skip
from server_support.pgbouncer import PgBouncer
from support.server import StartServer, servers_in


@pytest.fixture(scope="session")
def pooler(postgres_databases: Databases) -> Iterator[PgBouncer]:
    """A PgBouncer before the databases, with fewer sessions than two servers have connections."""
    with pgbouncer_or_skip(postgres_databases.server_url, pool_size=4) as pooler:
        yield pooler


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[StartServer]:
    """Makes a server; at the end of the test its log must be without errors."""
    with servers_in(tmp_path) as make:
        yield make
