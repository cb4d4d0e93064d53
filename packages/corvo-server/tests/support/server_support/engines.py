"""The pytest option `--engine` and one PostgreSQL server for all tests.

A test that uses `engine_name`, directly or through a fixture, runs once on each chosen engine.
`CORVO_TEST_POSTGRES_URL` names the PostgreSQL server (a superuser's URL; tests create and drop
databases there). Without it the tests start a server. If that is impossible, tests that need it are
skipped, or fail if `CORVO_REQUIRE_POSTGRES` is 1. With `--pooled`, databases are reached through a
PgBouncer in transaction mode.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest

from server_support.databases import Databases
from server_support.pgbouncer import PgBouncer, PgBouncerMissing
from server_support.postgres import PostgresMissing, PostgresServer

ENGINES = ("sqlite", "postgres")
NewStorage = Callable[[], dict[str, str | int]]
_URL = "CORVO_TEST_POSTGRES_URL"
_REQUIRED = "CORVO_REQUIRE_POSTGRES"
_shared = pytest.StashKey[PostgresServer]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=(*ENGINES, "all"),
        default="sqlite",
        help="the storage engine of tests that run on any engine (default: sqlite)",
    )
    parser.addoption(
        "--pooled",
        action="store_true",
        help="reach PostgreSQL through a PgBouncer in transaction mode",
    )


def engines_of(config: pytest.Config) -> tuple[str, ...]:
    """Return the chosen engines."""
    chosen = config.getoption("engine")
    return ENGINES if chosen == "all" else (chosen,)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "sqlite: tests the file of SQLite; runs on SQLite only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_name" in metafunc.fixturenames:
        is_of_sqlite = metafunc.definition.get_closest_marker("sqlite") is not None
        names = ("sqlite",) if is_of_sqlite else engines_of(metafunc.config)
        metafunc.parametrize("engine_name", names, scope="session")


@pytest.fixture(scope="session")
def new_storage(engine_name: str, request: pytest.FixtureRequest) -> NewStorage:
    """Return a factory of server options for a new, empty store on the engine under test."""

    def new() -> dict[str, str | int]:
        if engine_name == "sqlite":
            return {}  # each test server has its own data directory
        databases: Databases = request.getfixturevalue("postgres_databases")
        url = databases.create()
        listen = {} if databases.pooler is None else {"database_listen_url": databases.direct(url)}
        return {"database": url, "database_connections": 2, **listen}

    return new


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Start one PostgreSQL server for all pytest-xdist workers, before the first worker starts."""
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    if "postgres" not in engines_of(config) or os.environ.get(_URL):
        return
    if _shared not in config.stash:
        try:
            config.stash[_shared] = PostgresServer().init().start()
        except PostgresMissing:
            return  # each test that needs it is skipped or fails by itself
    node.workerinput[_URL] = config.stash[_shared].url()  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    server = config.stash.get(_shared, None)
    if server is not None:
        server.close()


@pytest.fixture(scope="session")
def postgres_databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """A PostgreSQL server on which tests create databases."""
    with ExitStack() as stack:
        given = getattr(request.config, "workerinput", {}).get(_URL) or os.environ.get(_URL)
        url = given or stack.enter_context(_start_or_skip()).url()
        pooler = None
        if request.config.getoption("pooled"):
            pooler = stack.enter_context(pgbouncer_or_skip(url))
        databases = Databases(url, pooler)
        yield databases
        if given:
            databases.close()


@pytest.fixture
def empty_postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """The URL of an empty database on PostgreSQL, without a pooler."""
    url = postgres_databases.create()
    yield postgres_databases.direct(url)
    postgres_databases.drop(url)


def require(reason: str) -> NoReturn:
    """Skip a test for `reason`; fail if `CORVO_REQUIRE_POSTGRES` is 1."""
    if os.environ.get(_REQUIRED) == "1":
        pytest.fail(f"{_REQUIRED}=1, but {reason}")
    pytest.skip(reason)


def pgbouncer_or_skip(server_url: str, *, pool_size: int = 6) -> PgBouncer:
    """Return a pooler for a server, not started yet. Skip the test if PgBouncer is missing."""
    try:
        return PgBouncer(server_url, pool_size=pool_size)
    except PgBouncerMissing as missing:
        require(str(missing))


def _start_or_skip() -> PostgresServer:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        require("psycopg is not installed")
    try:
        return PostgresServer().init().start()
    except PostgresMissing as missing:
        require(str(missing))
