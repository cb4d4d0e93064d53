"""A pool of read-only connections, each with its thread."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.sqlite.database import open_reader

P = ParamSpec("P")
T = TypeVar("T")


class Readers:
    """Runs reading functions off the event loop, each on one snapshot of the database."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._connections: list[sqlite3.Connection] = []
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="corvo-reader")
        self._is_closed = False

    async def run(
        self,
        read: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """`read(connection, *args)`. Raises `StoreUnavailable` when the database cannot be read."""

        def work() -> T:
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                return read(connection, *args, **kwargs)
            finally:
                connection.execute("COMMIT")

        if self._is_closed:
            raise StoreUnavailable("the server is shutting down")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except sqlite3.DatabaseError as error:
            raise StoreUnavailable(f"the database cannot be read: {error}") from error

    async def close(self) -> None:
        """Wait for running reads, then close all connections."""
        self._is_closed = True
        await asyncio.to_thread(self._pool.shutdown)
        for connection in self._connections:
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = open_reader(self._path)
            self._local.connection = connection
            self._connections.append(connection)
        return connection
