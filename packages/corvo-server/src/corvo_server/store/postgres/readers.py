"""A pool of threads, each with its own connection for read-only transactions."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg import errors

from corvo_server.store.postgres.database import connect, search_path
from corvo_server.store.postgres.pipeline import CONNECTION_ERRORS, Connection, Pipeline
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.protocol import SearchTooSlow, StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

_READ_SECONDS = 30.0
"""Seconds after which the database cancels a statement of any read."""
_CANCEL_AGAIN = 0.2
"""Seconds between cancels of a read, repeated until it ends."""


class Readers:
    """Runs functions that read off the event loop, each in a read-only transaction."""

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
        """Return `read(pipeline, *args, **kwargs)`, run on one snapshot of the database.

        Raises `StoreUnavailable` if the database cannot be read.
        """
        return await self._run(
            SQL.begin_reading, _READ_SECONDS, lambda pipeline: read(pipeline, *args, **kwargs)
        )

    async def run_fresh(
        self, read: Callable[Concatenate[Pipeline, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a read like `run`, but with a new snapshot for each statement."""
        return await self._run(
            SQL.begin_reading_fresh, _READ_SECONDS, lambda pipeline: read(pipeline, *args, **kwargs)
        )

    async def run_within(
        self,
        seconds: float,
        read: Callable[Concatenate[Pipeline, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a read like `run`, but cancel it after `seconds`, or if the caller is cancelled.

        Raises `SearchTooSlow` if the read took longer than `seconds`. Raises `StoreUnavailable`
        also if the read could not begin within `seconds`.
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
                raise StoreUnavailable("the caller of the read has gone")
            running.append(pipeline.connection)
            loop.call_soon_threadsafe(begin)
            try:
                return read(pipeline, *args, **kwargs)
            finally:
                running.clear()
                # A cancel may arrive late and must not hit the next read on this connection.
                if is_stopped.is_set():
                    pipeline.connection.close()
                has_ended.set()

        try:
            async with asyncio.timeout(seconds) as timeout:
                return await self._run(SQL.begin_reading, seconds, work)
        except (TimeoutError, errors.QueryCanceled):
            if has_begun:
                raise SearchTooSlow(f"it took longer than {seconds:g} seconds") from None
            raise StoreUnavailable(
                f"other searches kept all search connections busy for {seconds:g} seconds"
            ) from None
        finally:
            # Set the flag before reading `running`: a read that is in the list then sees the flag.
            is_stopped.set()
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
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable(f"the database cannot be read: {error}") from error

    def _read(self, begin: str, seconds: float, read: Callable[[Pipeline], T]) -> T:
        connection, is_new = self._connection()
        try:
            return self._read_on(connection, begin, seconds, read)
        except CONNECTION_ERRORS as error:
            if isinstance(error, errors.QueryCanceled) or is_new or not connection.closed:
                raise
            # The connection was lost while it was idle. A read can safely run again.
            return self._read_on(self._connection()[0], begin, seconds, read)

    def _read_on(
        self, connection: Connection, begin: str, seconds: float, read: Callable[[Pipeline], T]
    ) -> T:
        pipeline = Pipeline(connection)
        try:
            pipeline.open()
            pipeline.send(begin)
            pipeline.send(SQL.set_up_reading, (self._search_path, f"{int(seconds * 1000) or 1}ms"))
            result = read(pipeline)
            pipeline.send("COMMIT")
            pipeline.close()
        except BaseException:
            pipeline.abandon()
            raise
        return result

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
    """Cancel a read repeatedly until it ends; a cancel between two statements has no effect."""
    while True:
        _cancel(connection)
        if connection.closed or has_ended.wait(_CANCEL_AGAIN):
            return


def _cancel(connection: Connection) -> None:
    """Cancel the running statement of a connection. If that fails, the timeout cancels it."""
    try:
        connection.cancel_safe(timeout=5)
    except psycopg.Error:
        return
