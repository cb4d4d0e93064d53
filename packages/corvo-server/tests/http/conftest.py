"""An HTTP server. The tests of a file share it, so each test uses its own queues."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from server_support.bench import Bench
from server_support.clock import ManualClock
from server_support.http import HttpServer, serve
from server_support.kits import Kit, NewKit


@pytest.fixture(scope="module")
def kit(new_kit: NewKit) -> Iterator[Kit]:
    """The engine under test."""
    with new_kit() as kit:
        yield kit


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(kit: Kit) -> AsyncIterator[Bench]:
    """A test bench over the engine. After all tests, it checks the counters."""
    bench = Bench(kit, kit.open(), ManualClock())
    yield bench
    await bench.check_counters()
    await bench.store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(bench: Bench) -> AsyncIterator[HttpServer]:
    """An HTTP server over the engine of `bench`."""
    async with serve(bench.engine) as server:
        yield server
