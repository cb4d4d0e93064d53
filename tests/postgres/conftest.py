"""Corvo servers on PostgreSQL, directly or through a pooler."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server_support.databases import Databases
from server_support.engines import pgbouncer_or_skip
from server_support.pgbouncer import PgBouncer
from support.server import StartServer, servers_in


@pytest.fixture(scope="session")
def pooler(postgres_databases: Databases) -> Iterator[PgBouncer]:
    """A PgBouncer that has fewer sessions than two servers have connections."""
    with pgbouncer_or_skip(postgres_databases.server_url, pool_size=4) as pooler:
        yield pooler


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[StartServer]:
    """A factory of servers. Their logs must have no errors at the end of the test."""
    with servers_in(tmp_path) as make:
        yield make
