"""A pool of threads, each with its own read-only connection."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, Generic, ParamSpec, TypeVar

from corvo_server.store.protocol import SearchTooSlow, StoreUnavailable
from corvo_server.store.sqlite.database import open_reader
from corvo_server.store.sqlite.files import DataFiles

P = ParamSpec("P")
T = TypeVar("T")

_STOP_AGAIN_AFTER = 0.05
"""Seconds between interrupts. An interrupt between two statements does not stop the second."""


class Readers:
    """Runs functions that read off the event loop, each on one snapshot of the database."""

    def __init__(self, files: DataFiles, size: int) -> None:
        self._files = files
        self._connections: list[sqlite3.Connection] = []
        self._local = threading.local()
        self._begun: dict[int, float] = {}
        """The time at which each read under way began, by thread."""
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="corvo-reader")
        self._is_closed = False

    async def run_within(
        self,
        seconds: float,
        read: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a read like `run`, but interrupt it after `seconds`, or if the caller is cancelled.

        Raises `SearchTooSlow` if the read took longer than `seconds`. Raises `StoreUnavailable`
        also if the read could not begin within `seconds`.
        """
        loop = asyncio.get_running_loop()
        has_begun = False

        def begin() -> None:
            nonlocal has_begun
            if not (stoppable.is_stopped or timeout.expired()):
                has_begun = True
                timeout.reschedule(loop.time() + seconds)

        def stop() -> None:
            if stoppable.stop():
                loop.call_later(_STOP_AGAIN_AFTER, stop)

        stoppable = _Stoppable(read, lambda: loop.call_soon_threadsafe(begin))
        try:
            async with asyncio.timeout(seconds) as timeout:
                return await self.run(stoppable, *args, **kwargs)
        except TimeoutError:
            if has_begun:
                raise SearchTooSlow(f"it took longer than {seconds:g} seconds") from None
            raise StoreUnavailable(
                f"other searches kept all search connections busy for {seconds:g} seconds"
            ) from None
        finally:
            stop()

    async def run(
        self,
        read: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return `read(connection, *args, **kwargs)`.

        Raises `StoreUnavailable` if the database cannot be read.
        """

        def work() -> T:
            connection = self._connection()
            thread = threading.get_ident()
            self._begun[thread] = time.monotonic()
            try:
                connection.execute("BEGIN")
                try:
                    return read(connection, *args, **kwargs)
                finally:
                    # Unlike a COMMIT, it does not fail where SQLite has ended the transaction
                    # because of an error, and so does not hide that error.
                    connection.rollback()
            finally:
                del self._begun[thread]

        if self._is_closed:
            raise StoreUnavailable("the server is shutting down")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except sqlite3.DatabaseError as error:
            raise StoreUnavailable(f"the database cannot be read: {error}") from error

    def oldest_read(self) -> float:
        """Return how many seconds ago the oldest read under way began; 0 without one."""
        now = time.monotonic()
        return now - min(list(self._begun.values()), default=now)

    async def close(self) -> None:
        """Wait for running reads, then close all connections."""
        self._is_closed = True
        await asyncio.to_thread(self._pool.shutdown)
        for connection in self._connections:
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            problem = self._files.compare()
            if problem is not None:  # the connection would read another file than the writer's
                raise StoreUnavailable(problem)
            connection = open_reader(self._files.database)
            self._local.connection = connection
            self._connections.append(connection)
        return connection


class _Stoppable(Generic[P, T]):
    """A read that another thread can stop.

    A stop never interrupts a later read on the same connection.
    """

    def __init__(
        self,
        read: Callable[Concatenate[sqlite3.Connection, P], T],
        on_begin: Callable[[], object],
    ) -> None:
        self._read = read
        self._on_begin = on_begin
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self.is_stopped = False

    def __call__(self, connection: sqlite3.Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._lock:
            if self.is_stopped:
                raise StoreUnavailable("the caller of the read has gone")
            self._connection = connection
            self._on_begin()
        try:
            return self._read(connection, *args, **kwargs)
        finally:
            with self._lock:
                self._connection = None

    def stop(self) -> bool:
        """Interrupt the read, or prevent it from starting. Return whether it is still running."""
        with self._lock:
            self.is_stopped = True
            if self._connection is None:
                return False
            self._connection.interrupt()
            return True
