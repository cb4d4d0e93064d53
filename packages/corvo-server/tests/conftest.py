"""Fixtures of the server's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from corvo_server.engine.engine import Engine
from corvo_server.store.protocol import Store
from server_support.bench import Bench
from server_support.clock import ManualClock
from server_support.kits import KITS, Kit


@pytest.fixture
def clock() -> ManualClock:
    """The server's clock, which stands still until a test moves it."""
    return ManualClock()


@pytest.fixture(params=KITS)
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Kit:
    """The engine under test."""
    return KITS[request.param](tmp_path)


@pytest.fixture
async def store(kit: Kit) -> AsyncIterator[Store]:
    """An open store without jobs."""
    store = kit.open()
    yield store
    await store.close()


@pytest.fixture
async def bench(kit: Kit, store: Store, clock: ManualClock) -> AsyncIterator[Bench]:
    """The engine's calls in short form. After each test the counters must be right."""
    bench = Bench(kit, store, clock)
    yield bench
    await bench.check_counters()
    await bench.store.close()


@pytest.fixture
def engine(bench: Bench) -> Engine:
    """The engine over `store`."""
    return bench.engine
