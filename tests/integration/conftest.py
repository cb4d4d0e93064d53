"""Servers for the integration tests.

Most tests share the `server` of their test process and stay apart by the names of their queues.
Those that stop it, or need settings of their own, make one with `start_server`.
"""

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from corvo_client import NO_RETRIES, AsyncClient, Client
from server_support.engines import NewStorage
from support.api_client import ApiClient, new_name
from support.clients import awaited
from support.server import CorvoServer, StartServer, servers_in

# What a shell starts in the background ignores SIGINT, and so would all that it starts in turn.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_server(
    tmp_path_factory: pytest.TempPathFactory, new_storage: NewStorage
) -> Iterator[CorvoServer]:
    server = CorvoServer(tmp_path_factory.mktemp("shared") / "data", new_storage()).start()
    yield server
    code = server.stop()
    server.close()
    assert code == 0
    assert server.messages()[-1] == "stopped: the store is closed"


@pytest.fixture
def server(shared_server: CorvoServer) -> Iterator[CorvoServer]:
    """A server that other tests use, too, in other queues. It must not log an error meanwhile."""
    start = len(shared_server.lines)
    yield shared_server
    assert not shared_server.errors(since=start)


@pytest.fixture
def make_server(tmp_path: Path, new_storage: NewStorage) -> Iterator[StartServer]:
    """Makes a server with a data directory of its own; keyword arguments are its options.

    At the end of the test its log must be without errors; a test that provokes some says
    `expects_errors=True`.
    """
    with servers_in(tmp_path, new_storage) as make:
        yield make


@pytest.fixture
def start_server(make_server: StartServer) -> StartServer:
    """Like `make_server`, and starts it."""

    def start(*, expects_errors: bool = False, **options: str | int) -> CorvoServer:
        return make_server(expects_errors=expects_errors, **options).start()

    return start


@pytest.fixture
async def api(server: CorvoServer) -> AsyncIterator[ApiClient]:
    """Raw requests to the shared server."""
    async with ApiClient(server.url) as api:
        yield api


@pytest.fixture
def queue() -> str:
    """The name of a queue that no other test uses."""
    return new_name()


@pytest.fixture(params=[AsyncClient, Client], ids=["AsyncClient", "Client"])
async def client(server: CorvoServer, request: pytest.FixtureRequest) -> AsyncIterator[AsyncClient]:
    """Each of the two clients, on the shared server. Failures are reported at once."""
    if request.param is AsyncClient:
        async with AsyncClient(server.url, retry=NO_RETRIES) as client:
            yield client
    else:
        client = awaited(Client(server.url, retry=NO_RETRIES))
        yield client
        await client.close()
