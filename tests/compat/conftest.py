"""A server of ours, and the SDKs that others wrote, which `nox -s compat` has installed apart."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compat.foreign import MakeSdk, Sdk, StartWorker, Worker
from server_support.engines import NewStorage
from support.api_client import new_name
from support.server import CorvoServer

WHERE = "FOREIGN_SDKS"


@pytest.fixture(scope="session")
def sdks() -> Path:
    """The directory that their SDKs are in."""
    if WHERE not in os.environ:
        pytest.skip(f"{WHERE} does not say where the SDKs are; nox -s compat installs them")
    return Path(os.environ[WHERE])


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, new_storage: NewStorage
) -> Iterator[CorvoServer]:
    """A server, used by all tests, each in queues of its own. It must not log an error."""
    server = CorvoServer(tmp_path_factory.mktemp("compat") / "data", new_storage()).start()
    yield server
    code = server.stop()
    server.close()
    assert code == 0
    assert not server.errors()


@pytest.fixture
def quick_server(tmp_path: Path, new_storage: NewStorage) -> Iterator[CorvoServer]:
    """A server that takes back after two seconds what nobody keeps."""
    server = CorvoServer(tmp_path / "data", {"lease": "2s", **new_storage()}).start()
    yield server
    server.stop()
    server.close()
    assert not server.errors()


@pytest.fixture(scope="session")
def sdk(sdks: Path, server: CorvoServer) -> Iterator[Sdk]:
    """Their client with its defaults."""
    sdk = Sdk(sdks, base_url=server.url)
    yield sdk
    sdk.close()


@pytest.fixture
def make_sdk(sdks: Path, server: CorvoServer) -> Iterator[MakeSdk]:
    """Further clients."""
    made: list[Sdk] = []

    def make(**options: Any) -> Sdk:
        made.append(Sdk(sdks, **{"base_url": server.url, **options}))
        return made[-1]

    yield make
    for sdk in made:
        sdk.close()


@pytest.fixture
def start_worker(sdks: Path, server: CorvoServer) -> Iterator[StartWorker]:
    """Starts their worker on some queues. It has handlers for those, or only for `handled`."""
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
    """The name of a queue that no other test uses."""
    return new_name()
