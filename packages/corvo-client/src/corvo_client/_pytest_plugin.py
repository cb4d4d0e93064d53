"""Fixtures for pytest. Nothing is imported before a test asks for one of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from corvo_client import Client
    from corvo_client.testing import RecordedJobs


@pytest.fixture
def corvo_jobs() -> "Iterator[RecordedJobs]":
    """Record what the test enqueues, instead of sending it: look at it, assert, drain it."""
    from corvo_client.testing import recording  # noqa: PLC0415

    with recording() as jobs:
        yield jobs


@pytest.fixture
def corvo_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a real server for this test, and return its URL. CORVO_SERVER is set to it."""
    from corvo_client.testing import LocalServer  # noqa: PLC0415

    monkeypatch.delenv("CORVO_API_KEY", raising=False)
    with LocalServer() as server:
        monkeypatch.setenv("CORVO_SERVER", server.url)
        yield server.url


@pytest.fixture
def corvo_client(corvo_server: str) -> "Iterator[Client]":
    """Return a client of the test's own server."""
    from corvo_client import Client  # noqa: PLC0415

    with Client(corvo_server) as client:
        yield client
