"""Fixtures for pytest. They import the client only when a test uses them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from corvo_client import Client
    from corvo_client.testing import RecordedJobs


@pytest.fixture
def corvo_jobs() -> "Iterator[RecordedJobs]":
    """Record the jobs that the test enqueues instead of sending them."""
    from corvo_client.testing import recording  # noqa: PLC0415

    with recording() as jobs:
        yield jobs


@pytest.fixture
def corvo_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a real server for this test and return its URL.

    All clients, tasks and workers of the process use it, whatever URL the code has. CORVO_SERVER is
    set to that URL.
    """
    from corvo_client.testing import LocalServer, redirecting  # noqa: PLC0415

    monkeypatch.delenv("CORVO_API_KEY", raising=False)
    with LocalServer() as server, redirecting(server.url):
        monkeypatch.setenv("CORVO_SERVER", server.url)
        yield server.url


@pytest.fixture
def corvo_client(corvo_server: str) -> "Iterator[Client]":
    """Return a client of the server that `corvo_server` starts."""
    from corvo_client import Client  # noqa: PLC0415

    with Client(corvo_server) as client:
        yield client
