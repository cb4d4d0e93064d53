"""The connection for heartbeats of nodes, so that these never wait for writes or searches.

Nodes also report their workers on it, in parts so small that a heartbeat can wait for one.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from corvo_server.store.postgres.database import connect, search_path, write_settings
from corvo_server.store.postgres.pipeline import CONNECTION_ERRORS, Connection, Pipeline
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.protocol import StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

_CONNECTION_OPTIONS = {
    "connect_timeout": 2,
    "tcp_user_timeout": 2_500,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
}
"""libpq options that detect a lost network within seconds.

A leader that is cut off can then renew its lease as soon as the network is back.
"""


class Coordination:
    """Runs short functions off the event loop, one at a time, each in its own transaction."""

    def __init__(self, url: str, *, schema: str) -> None:
        self._url = url
        self._search_path = search_path(schema)
        self._connection: Connection | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="corvo-coordination")

    async def run(
        self, work: Callable[Concatenate[Pipeline, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(pipeline, *args, **kwargs)`, commit, and return its result.

        Raises `StoreUnavailable` if the database is unreachable. The transaction may still have
        been committed.
        """

        def in_transaction() -> T:
            pipeline = Pipeline(self._connected())
            try:
                pipeline.open()
                pipeline.send(SQL.begin)
                pipeline.send(SQL.set_up_writing, write_settings(self._search_path))
                result = work(pipeline, *args, **kwargs)
                pipeline.send("COMMIT")
                pipeline.close()
            except BaseException:
                pipeline.abandon()
                raise
            return result

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, in_transaction)
        except RuntimeError as error:  # raised by a thread pool that is shut down
            raise StoreUnavailable("the server is shutting down") from error
        except CONNECTION_ERRORS as error:
            raise StoreUnavailable(f"the database is unreachable: {error}") from error

    async def close(self) -> None:
        """Wait for the running function, then close the connection."""
        await asyncio.to_thread(self._pool.shutdown)
        if self._connection is not None:
            self._connection.close()

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, **_CONNECTION_OPTIONS)
        return self._connection
