"""Reads on PostgreSQL that are cancelled."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from corvo_server.store.postgres import readers as module
from corvo_server.store.postgres.pipeline import Connection, Pipeline
from corvo_server.store.postgres.readers import Readers
from server_support.bench import until


def read_behind(lock: int) -> Callable[[Pipeline], list[tuple[object, ...]]]:
    """Return a read that lasts until another session releases the advisory lock `lock`."""
    return lambda pipeline: pipeline.ask("SELECT pg_advisory_xact_lock(%s)", (lock,))


async def test_a_late_cancel_does_not_affect_the_next_read(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_cancel, has_cancelled = threading.Event(), threading.Event()
    real = module._cancel

    def cancel_late(connection: Connection) -> None:
        may_cancel.wait(10)
        real(connection)
        has_cancelled.set()

    monkeypatch.setattr(module, "_cancel", cancel_late)
    readers = Readers(postgres_url, 1, schema="corvo")
    with psycopg.connect(postgres_url, autocommit=True) as holder:

        def is_awaited(lock: int) -> bool:
            waiting = (
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
            )
            return holder.execute(waiting, (lock,)).fetchone() is not None

        holder.execute("SELECT pg_advisory_lock(71), pg_advisory_lock(72)")
        first = asyncio.ensure_future(readers.run_within(60, read_behind(71)))
        await until(lambda: is_awaited(71))
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        holder.execute("SELECT pg_advisory_unlock(71)")
        second = asyncio.ensure_future(readers.run_within(60, read_behind(72)))
        await until(lambda: is_awaited(72))
        may_cancel.set()
        await until(has_cancelled.is_set)
        holder.execute("SELECT pg_advisory_unlock(72)")
        assert len(await second) == 1
    await readers.close()


async def test_a_read_is_cancelled_again_when_the_first_cancel_has_no_effect(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, cancels = module._cancel, []

    def miss_once(connection: Connection) -> None:
        cancels.append(connection)
        if len(cancels) > 1:
            real(connection)

    monkeypatch.setattr(module, "_cancel", miss_once)
    readers = Readers(postgres_url, 1, schema="corvo")
    has_begun, has_ended = threading.Event(), threading.Event()

    def sleep(pipeline: Pipeline) -> list[tuple[object, ...]]:
        has_begun.set()
        try:
            return pipeline.ask("SELECT pg_sleep(3600)")
        finally:
            has_ended.set()

    reading = asyncio.ensure_future(readers.run_within(60, sleep))
    await until(has_begun.is_set)
    reading.cancel()
    await until(has_ended.is_set)
    await readers.close()
