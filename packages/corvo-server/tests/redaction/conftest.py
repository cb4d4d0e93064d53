"""An HTTP server with rules of redaction, and jobs and schedules with secret values."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from corvo_server.engine.engine import Policy
from corvo_server.redaction.rules import read_rule
from server_support.bench import Bench
from server_support.clock import ManualClock
from server_support.http import HttpServer, serve
from server_support.kits import Kit, NewKit
from server_support.secrets import RULES, Secrets, make_secrets


@pytest.fixture(scope="module")
def kit(new_kit: NewKit) -> Iterator[Kit]:
    """The engine under test."""
    with new_kit() as kit:
        yield kit


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(kit: Kit) -> AsyncIterator[Bench]:
    """A test bench over an engine with `RULES`."""
    policy = Policy(redaction=[read_rule(rule) for rule in RULES])
    bench = Bench(kit, kit.open(), ManualClock(), policy)
    yield bench
    await bench.check_counters()
    await bench.store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(bench: Bench) -> AsyncIterator[HttpServer]:
    """An HTTP server over the engine of `bench`, which needs keys."""
    async with serve(bench.engine) as server:
        await server.require_keys()
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secrets(bench: Bench, server: HttpServer) -> Secrets:
    """Objects with secret values wherever a caller can put them."""
    return await make_secrets(bench, server)
