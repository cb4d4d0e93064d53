"""Fixtures of the server's tests."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from corvo_server.engine.engine import Engine
from corvo_server.store.protocol import Store
from server_support.bench import Bench
from server_support.clock import ManualClock
from server_support.databases import Databases
from server_support.kits import Kit, NewKit, PostgresKit, SqliteKit


@pytest.fixture
def clock() -> ManualClock:
    """The server's clock, which stands still until a test moves it."""
    return ManualClock()


@pytest.fixture(scope="session")
def new_kit(
    engine_name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> NewKit:
    """Makes kits of the engine under test."""

    @contextmanager
    def on_sqlite() -> Iterator[Kit]:
        yield SqliteKit(tmp_path_factory.mktemp("kit"))

    @contextmanager
    def on_postgres() -> Iterator[Kit]:
        databases: Databases = request.getfixturevalue("postgres_databases")
        template = request.getfixturevalue("postgres_template")
        url = free.pop() if free else databases.create(template)
        yield PostgresKit(url)
        if PostgresKit(url).empty():  # which takes a tenth of the time of a new one
            free.append(url)
        else:
            databases.drop(url)

    free: list[str] = []
    return on_sqlite if engine_name == "sqlite" else on_postgres


@pytest.fixture(scope="session")
def postgres_template(postgres_databases: Databases) -> str:
    """A database with the schema of the store, and nothing in it: copying it is quicker."""
    url = postgres_databases.create()
    PostgresKit.prepare(postgres_databases.direct(url))
    return url


@pytest.fixture
def postgres_url(postgres_databases: Databases, postgres_template: str) -> Iterator[str]:
    """The URL of a database with the schema of the store, past any pooler."""
    url = postgres_databases.create(postgres_template)
    yield postgres_databases.direct(url)
    postgres_databases.drop(url)


@pytest.fixture
def kit(new_kit: NewKit) -> Iterator[Kit]:
    """The engine under test."""
    with new_kit() as kit:
        yield kit


@pytest.fixture
async def store(kit: Kit) -> AsyncIterator[Store]:
    """An open store without jobs."""
    store = kit.open()
    yield store
    await store.close()


@pytest.fixture
async def bench(kit: Kit, store: Store, clock: ManualClock) -> AsyncIterator[Bench]:
    """The engine's calls in short form. After each test the counters must be right."""
    bench = Bench(kit, store, clock)
    yield bench
    await bench.check_counters()
    await bench.store.close()


@pytest.fixture
def engine(bench: Bench) -> Engine:
    """The engine over `store`."""
    return bench.engine
