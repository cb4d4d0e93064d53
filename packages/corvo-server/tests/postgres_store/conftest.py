"""Fixtures for tests of several stores on one PostgreSQL database."""

from collections.abc import AsyncIterator, Callable

import pytest

from corvo_server.store.postgres.store import PostgresStore
from server_support.bench import Bench
from server_support.clock import ManualClock
from server_support.kits import PostgresKit

OpenBench = Callable[..., Bench]


@pytest.fixture
async def open_bench(postgres_url: str, clock: ManualClock) -> AsyncIterator[OpenBench]:
    """Return a function that opens another store on the same database, with its own engine."""
    kit = PostgresKit(postgres_url)
    benches: list[Bench] = []

    def open_one(**options: object) -> Bench:
        bench = Bench(kit, PostgresStore(postgres_url, **options), clock)  # type: ignore[arg-type]
        benches.append(bench)
        return bench

    yield open_one
    for bench in benches:
        await bench.store.close()
