"""Real databases and a real server for the tests of outboxes."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from corvo_client import Client
from corvo_client.testing import LocalServer


@pytest.fixture(scope="session")
def outbox_server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def client(outbox_server: LocalServer) -> Iterator[Client]:
    with Client(outbox_server.url) as client:
        yield client


@pytest.fixture
def queue() -> str:
    """Return a queue that no other test uses."""
    return f"queue-{uuid4().hex}"


@pytest.fixture
def postgres_url(empty_postgres_url: str) -> str:
    """Return the SQLAlchemy URL of a new database."""
    return empty_postgres_url.replace("postgresql://", "postgresql+psycopg://")
