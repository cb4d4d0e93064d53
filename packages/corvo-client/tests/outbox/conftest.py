"""Real databases and a real server: what an outbox promises is about what they do together."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
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
    """A queue that no other test uses."""
    return f"queue-{uuid4().hex}"


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """A PostgreSQL server that goes with the tests; the directory of its socket."""
    pytest.importorskip("psycopg")
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        pytest.skip("PostgreSQL is not installed")
    # It refuses to run as root.
    user = "postgres" if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="corvo-pg-"))
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    options = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL}
    command = ["initdb", "-D", str(data), "-A", "trust", "-U", "corvo", "--no-sync", "-E", "UTF8"]
    subprocess.run(command, check=True, timeout=60, **options)  # type: ignore[call-overload]
    command = ["postgres", "-D", str(data), "-k", str(folder), "-c", "listen_addresses="]
    server = subprocess.Popen(
        [*command, "-c", "fsync=off"],
        stderr=subprocess.DEVNULL,
        **options,  # type: ignore[call-overload]
    )
    try:
        _wait_for(folder)
        yield folder
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_socket: Path) -> str:
    """The URL of a database of the test's own."""
    import psycopg

    name = f"db_{uuid4().hex}"
    with psycopg.connect(
        f"host={postgres_socket} user=corvo dbname=postgres", autocommit=True
    ) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"postgresql+psycopg://corvo@/{name}?host={postgres_socket}"


def _wait_for(folder: Path) -> None:
    import time

    import psycopg

    for _ in range(300):
        try:
            psycopg.connect(f"host={folder} user=corvo dbname=postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("PostgreSQL did not start")
