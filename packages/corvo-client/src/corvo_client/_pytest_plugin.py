"""Fixtures for pytest. They import the client only when a test uses them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from corvo_client import Client
    from corvo_client.testing import LocalServer, RecordedJobs


@pytest.fixture
def corvo_jobs() -> "Iterator[RecordedJobs]":
    """Record the jobs that the test enqueues instead of sending them."""
    from corvo_client.testing import recording  # noqa: PLC0415

    with recording() as jobs:
        yield jobs


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers", "corvo_keys: the server of `corvo_server` needs API keys; `corvo_client` has one"
    )


@pytest.fixture
def _corvo_local_server(request: pytest.FixtureRequest) -> "Iterator[LocalServer]":
    from corvo_client.testing import LocalServer  # noqa: PLC0415

    with LocalServer(keys=request.node.get_closest_marker("corvo_keys") is not None) as server:
        yield server


@pytest.fixture
def corvo_server(
    monkeypatch: pytest.MonkeyPatch, _corvo_local_server: "LocalServer"
) -> Iterator[str]:
    """Start a real server for this test and return its URL.

    All clients, tasks and workers of the process use it, whatever URL the code has. CORVO_SERVER is
    set to that URL. With the marker `corvo_keys` the server needs API keys: all calls have that of
    an admin, except those of clients that were made with the URL and a key of `corvo_new_key`.
    """
    from corvo_client.testing import redirecting  # noqa: PLC0415

    for name in ("CORVO_API_KEY", "CORVO_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    server = _corvo_local_server
    with redirecting(server.url, server.api_key):
        monkeypatch.setenv("CORVO_SERVER", server.url)
        if server.api_key is not None:
            monkeypatch.setenv("CORVO_API_KEY", server.api_key)
        yield server.url


@pytest.fixture
def corvo_new_key(corvo_server: str, _corvo_local_server: "LocalServer") -> "Callable[..., str]":
    """Return a function that makes an API key: `corvo_new_key("worker", queues=["emails.*"])`.

    The test needs the marker `corvo_keys`.
    """
    del corvo_server  # which must run
    return _corvo_local_server.new_key


@pytest.fixture
def corvo_client(corvo_server: str) -> "Iterator[Client]":
    """Return a client of the server that `corvo_server` starts."""
    from corvo_client import Client  # noqa: PLC0415

    with Client(corvo_server) as client:
        yield client
