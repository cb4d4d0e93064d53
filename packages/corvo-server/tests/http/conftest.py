"""A server to call over HTTP. The tests of a file share one: each uses queues of its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from server_support.bench import Bench
from server_support.clock import ManualClock
from server_support.http import HttpServer, serve
from server_support.kits import KITS, Kit


@pytest.fixture(scope="module", params=KITS)
def kit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """The engine under test."""
    return KITS[request.param](tmp_path_factory.mktemp("http"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(kit: Kit) -> AsyncIterator[Bench]:
    """The engine's calls in short form. After all tests the counters must be right."""
    bench = Bench(kit, kit.open(), ManualClock())
    yield bench
    await bench.check_counters()
    await bench.store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(bench: Bench) -> AsyncIterator[HttpServer]:
    """A server over the engine of `bench`."""
    async with serve(bench.engine) as server:
        yield server
