"""Fixtures for the integration tests.

Most tests share the `server` of their test process and use queues with unique names. A test that
stops its server or needs other settings creates one with `start_server`.
"""

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from corvo_client import NO_RETRIES, AsyncClient, Client
from server_support.engines import NewStorage
from server_support.process import are_keys_used
from support.api_client import ApiClient, new_name
from support.clients import as_async
from support.faults.injection import Injection
from support.faults.libraries import built
from support.leaks import key_of_tests, leaks_of_output, leaks_of_processes
from support.server import CorvoServer, StartServer, servers_in

# A background process of a shell ignores SIGINT, and its children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def keys() -> Iterator[None]:
    """The key of the tests, if they use one. No output of a process shows a key."""
    with key_of_tests():
        yield
        assert leaks_of_output() == []


@pytest.fixture(autouse=True)
def _no_key_in_the_list_of_processes() -> Iterator[None]:
    yield
    if are_keys_used():
        assert leaks_of_processes() == []


@pytest.fixture(scope="session")
def shared_server(
    tmp_path_factory: pytest.TempPathFactory, new_storage: NewStorage, keys: None
) -> Iterator[CorvoServer]:
    del keys  # which the server needs
    server = CorvoServer(tmp_path_factory.mktemp("shared") / "data", new_storage()).start()
    yield server
    code = server.stop()
    server.close()
    assert code == 0
    assert server.messages()[-1] == "stopped: the store is closed"


@pytest.fixture
def server(shared_server: CorvoServer) -> Iterator[CorvoServer]:
    """A server that tests share. It must not log an error during the test."""
    start = len(shared_server.lines)
    yield shared_server
    assert not shared_server.errors(since=start)


@pytest.fixture
def make_server(tmp_path: Path, new_storage: NewStorage) -> Iterator[StartServer]:
    """A factory of servers with their own data directories. Keyword arguments are options.

    The logs must have no errors at the end of the test, unless `expects_errors` is True.
    """
    with servers_in(tmp_path, new_storage) as make:
        yield make


@pytest.fixture
def start_server(make_server: StartServer) -> StartServer:
    """A factory like `make_server` that also starts the server."""

    def start(*, expects_errors: bool = False, **options: str | int) -> CorvoServer:
        return make_server(expects_errors=expects_errors, **options).start()

    return start


@pytest.fixture(scope="session")
def record_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that records what a server does to its files and on its sockets."""
    return built("record", tmp_path_factory.mktemp("record"))


@pytest.fixture(scope="session")
def injection_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls of a server on its files fail."""
    return built("inject", tmp_path_factory.mktemp("library"))


@pytest.fixture
def injection(tmp_path: Path, injection_library: Path) -> Injection:
    """The faults of `injected_server`; none at first."""
    return Injection(injection_library, tmp_path / "control")


@pytest.fixture
def injected_server(tmp_path: Path, injection: Injection) -> Iterator[CorvoServer]:
    """A server on SQLite with its own data directory, whose calls on files can be made to fail."""
    server = CorvoServer(tmp_path / "data", env=injection.env).start()
    yield server
    server.close()


@pytest.fixture
async def api(server: CorvoServer) -> AsyncIterator[ApiClient]:
    """A client for raw requests to the shared server."""
    async with ApiClient(server.url) as api:
        yield api


@pytest.fixture
def queue() -> str:
    """A unique queue name."""
    return new_name()


@pytest.fixture(params=[AsyncClient, Client], ids=["AsyncClient", "Client"])
async def client(server: CorvoServer, request: pytest.FixtureRequest) -> AsyncIterator[AsyncClient]:
    """Each of the two clients, without retries, on the shared server."""
    if request.param is AsyncClient:
        async with AsyncClient(server.url, retry=NO_RETRIES) as client:
            yield client
    else:
        client = as_async(Client(server.url, retry=NO_RETRIES))
        yield client
        await client.close()
