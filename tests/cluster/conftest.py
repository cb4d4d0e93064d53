"""PostgreSQL servers that a test can stop and kill, and Corvo servers on them."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest

from server_support.engines import require
from server_support.postgres import PostgresMissing, PostgresServer
from support.network import Network
from support.server import CorvoServer

_REQUIRED = "CORVO_REQUIRE_CLUSTER"


def lack(reason: str) -> NoReturn:
    """Skip a test that lacks a requirement. Fail it if `CORVO_REQUIRE_CLUSTER` is 1."""
    if os.environ.get(_REQUIRED) == "1":
        pytest.fail(f"{_REQUIRED}=1, but {reason}")
    pytest.skip(reason)


class StartNodes(Protocol):
    """A factory of servers on one database. `env` is by the index of the server."""

    def __call__(
        self,
        database_url: str,
        number: int = 3,
        *,
        env: Mapping[int, Mapping[str, str]] | None = None,
        network: Network | None = None,
        **options: str | int,
    ) -> list[CorvoServer]: ...


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """A separate PostgreSQL server that keeps committed data when it is killed."""
    pytest.importorskip("psycopg")
    try:
        server = PostgresServer(durable=True)
    except PostgresMissing as missing:
        require(str(missing))
    with server:
        yield server.init().start()


@pytest.fixture
def start_nodes(tmp_path: Path) -> Iterator[StartNodes]:
    """A factory of running Corvo servers. They may log errors, because tests stop the database."""
    servers: list[CorvoServer] = []

    def start(
        database_url: str,
        number: int = 3,
        *,
        env: Mapping[int, Mapping[str, str]] | None = None,
        network: Network | None = None,
        **options: str | int,
    ) -> list[CorvoServer]:
        place: dict[str, Any] = {}
        if network is not None:
            place = {"host": network.server_address, "prefix": network.prefix}
            options |= {"insecure_no_auth": True}  # nobody else is on the network of the test
        settings = {"database": database_url, **options}
        first = len(servers)
        for i in range(number):
            folder = tmp_path / f"node-{first + i}"
            servers.append(CorvoServer(folder, settings, env=(env or {}).get(i), **place))
        return [server.start() for server in servers[first:]]

    yield start
    for server in servers:
        server.close()
