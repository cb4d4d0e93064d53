"""A Corvo server, and the third-party SDKs that `nox -s compat` installs in another directory."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compat.sdk_process import MakeSdk, Sdk, StartWorker, Worker
from server_support.engines import NewStorage
from support.api_client import new_name
from support.server import CorvoServer

WHERE = "FOREIGN_SDKS"


@pytest.fixture(scope="session")
def sdks() -> Path:
    """The directory of the third-party SDKs."""
    if WHERE not in os.environ:
        pytest.skip(f"{WHERE} is not set to the directory of the SDKs: run nox -s compat")
    return Path(os.environ[WHERE])


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, new_storage: NewStorage
) -> Iterator[CorvoServer]:
    """A server that all tests share. It must not log an error."""
    server = CorvoServer(tmp_path_factory.mktemp("compat") / "data", new_storage()).start()
    yield server
    code = server.stop()
    server.close()
    assert code == 0
    assert not server.errors()


@pytest.fixture
def quick_server(tmp_path: Path, new_storage: NewStorage) -> Iterator[CorvoServer]:
    """A server whose leases last two seconds."""
    server = CorvoServer(tmp_path / "data", {"lease": "2s", **new_storage()}).start()
    yield server
    server.stop()
    server.close()
    assert not server.errors()


@pytest.fixture(scope="session")
def sdk(sdks: Path, server: CorvoServer) -> Iterator[Sdk]:
    """The third-party client with its defaults."""
    sdk = Sdk(sdks, base_url=server.url)
    yield sdk
    sdk.close()


@pytest.fixture
def make_sdk(sdks: Path, server: CorvoServer) -> Iterator[MakeSdk]:
    """A factory of third-party clients with other options."""
    made: list[Sdk] = []

    def make(**options: Any) -> Sdk:
        made.append(Sdk(sdks, **{"base_url": server.url, **options}))
        return made[-1]

    yield make
    for sdk in made:
        sdk.close()


@pytest.fixture
def start_worker(sdks: Path, server: CorvoServer) -> Iterator[StartWorker]:
    """A factory of third-party workers. Each has handlers for its queues, or only for `handled`."""
    started: list[Worker] = []

    def start(
        *queues: str,
        handled: list[str] | None = None,
        client: dict[str, Any] | None = None,
        **config: Any,
    ) -> Worker:
        options = {
            "client": {"base_url": server.url, **(client or {})},
            "worker": {"queues": queues, "worker_id": new_name("worker"), **config},
            "handled": queues if handled is None else handled,
            "beat": 0.1,
        }
        started.append(Worker(sdks, options))
        return started[-1]

    yield start
    for worker in started:
        worker.close()


@pytest.fixture
def queue() -> str:
    """A unique queue name."""
    return new_name()
