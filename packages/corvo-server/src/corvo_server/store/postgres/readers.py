"""A pool of connections that only read, each with its thread."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg import errors

from corvo_server.store.postgres.database import connect, search_path
from corvo_server.store.postgres.pipeline import OUT_OF_REACH, Connection, Pipeline
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.protocol import SearchTooSlow, StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

_LONGEST = 30.0
"""Seconds that any read may take."""
_CANCEL_AGAIN = 0.2
"""Seconds after which a read that was cancelled and goes on is cancelled again."""


class Readers:
    """Runs reading functions off the event loop, each in a transaction that only reads."""

    def __init__(self, url: str, size: int, *, schema: str) -> None:
        self._url = url
        self._search_path = search_path(schema)
        self._connections: set[Connection] = set()
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="corvo-reader")
        self._is_closed = False

    async def run(
        self, read: Callable[Concatenate[Pipeline, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`read(pipeline, *args)` on one snapshot. Raises `StoreUnavailable`."""
        return await self._run(
            SQL.begin_reading, _LONGEST, lambda pipeline: read(pipeline, *args, **kwargs)
        )

    async def run_fresh(
        self, read: Callable[Concatenate[Pipeline, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `run`, but each statement sees what is there when it begins."""
        return await self._run(
            SQL.begin_reading_fresh, _LONGEST, lambda pipeline: read(pipeline, *args, **kwargs)
        )

    async def run_within(
        self,
        seconds: float,
        read: Callable[Concatenate[Pipeline, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As `run`, for a read that may be slow: it is stopped when the caller goes away.

        Raises `SearchTooSlow` when it has run for `seconds`, and `StoreUnavailable` also when it
        could not begin within that time.
        """
        loop = asyncio.get_running_loop()
        running: list[Connection] = []
        is_stopped, has_ended = threading.Event(), threading.Event()
        has_begun = False

        def begin() -> None:
            nonlocal has_begun
            if not (is_stopped.is_set() or timeout.expired()):
                has_begun = True
                timeout.reschedule(loop.time() + seconds)

        def work(pipeline: Pipeline) -> T:
            if is_stopped.is_set():
                raise StoreUnavailable("nobody waits for it any more")
            running.append(pipeline.connection)
            loop.call_soon_threadsafe(begin)
            try:
                return read(pipeline, *args, **kwargs)
            finally:
                running.clear()
                if is_stopped.is_set():  # the cancel may come late, and must not hit the next read
                    pipeline.connection.close()
                has_ended.set()

        try:
            async with asyncio.timeout(seconds) as timeout:
                return await self._run(SQL.begin_reading, seconds, work)
        except (TimeoutError, errors.QueryCanceled):
            if has_begun:
                raise SearchTooSlow(f"it took longer than {seconds:g} seconds") from None
            raise StoreUnavailable("other searches take all the time there is") from None
        finally:
            is_stopped.set()  # before the look: whoever is seen running will see it, too
            for connection in running:
                loop.run_in_executor(None, _stop, connection, has_ended)

    async def _run(self, begin: str, seconds: float, read: Callable[[Pipeline], T]) -> T:
        if self._is_closed:
            raise StoreUnavailable("the server is shutting down")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._read, begin, seconds, read)
        except errors.QueryCanceled:
            raise
        except OUT_OF_REACH as error:
            raise StoreUnavailable(f"the database cannot be read: {error}") from error

    def _read(self, begin: str, seconds: float, read: Callable[[Pipeline], T]) -> T:
        connection, is_new = self._connection()
        try:
            return self._read_on(connection, begin, seconds, read)
        except OUT_OF_REACH as error:
            if isinstance(error, errors.QueryCanceled) or is_new or not connection.closed:
                raise
            # It was lost while nobody used it: what only reads can be done again.
            return self._read_on(self._connection()[0], begin, seconds, read)

    def _read_on(
        self, connection: Connection, begin: str, seconds: float, read: Callable[[Pipeline], T]
    ) -> T:
        pipeline = Pipeline(connection)
        try:
            pipeline.open()
            pipeline.send(begin)
            pipeline.send(SQL.set_up_reading, (self._search_path, f"{int(seconds * 1000) or 1}ms"))
            found = read(pipeline)
            pipeline.send("COMMIT")
            pipeline.close()
        except BaseException:
            pipeline.abandon()
            raise
        return found

    def _connection(self) -> tuple[Connection, bool]:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None and not connection.closed:
            return connection, False
        if connection is not None:
            self._connections.discard(connection)
        connection = connect(self._url)
        self._local.connection = connection
        self._connections.add(connection)
        return connection, True

    async def close(self) -> None:
        """Wait for running reads, then close all connections."""
        self._is_closed = True
        await asyncio.to_thread(self._pool.shutdown)
        for connection in self._connections:
            connection.close()


def _stop(connection: Connection, has_ended: threading.Event) -> None:
    """Cancel until the read has ended: a cancel between two of its statements hits nothing."""
    while True:
        _cancel(connection)
        if connection.closed or has_ended.wait(_CANCEL_AGAIN):
            return


def _cancel(connection: Connection) -> None:
    """Stop what runs on a connection; if that fails, its timeout stops it."""
    try:
        connection.cancel_safe(timeout=5)
    except psycopg.Error:
        return
