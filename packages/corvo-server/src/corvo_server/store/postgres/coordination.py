"""A connection for what nodes agree on: its calls must not wait for writes or searches."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from corvo_server.store.postgres.database import connect, search_path, set_up
from corvo_server.store.postgres.pipeline import OUT_OF_REACH, Connection, Pipeline
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.protocol import StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

_QUICK = {
    "connect_timeout": 2,
    "tcp_user_timeout": 2_500,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
}
"""Who is cut off from the lead must be back as soon as the way is free again."""


class Coordination:
    """Runs small functions off the event loop, one after the other, each in a transaction."""

    def __init__(self, url: str, *, schema: str) -> None:
        self._url = url
        self._search_path = search_path(schema)
        self._connection: Connection | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="corvo-coordination")

    async def run(
        self, work: Callable[Concatenate[Pipeline, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`work(pipeline, *args)`, committed when it returns. Raises `StoreUnavailable`."""

        def in_transaction() -> T:
            pipeline = Pipeline(self._connected())
            try:
                pipeline.open()
                pipeline.send(SQL.begin)
                pipeline.send(SQL.set_up_writing, set_up(self._search_path))
                done = work(pipeline, *args, **kwargs)
                pipeline.send("COMMIT")
                pipeline.close()
            except BaseException:
                pipeline.abandon()
                raise
            return done

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, in_transaction)
        except RuntimeError as error:  # of a pool that is shut down
            raise StoreUnavailable("the server is shutting down") from error
        except OUT_OF_REACH as error:
            raise StoreUnavailable(f"the database is out of reach: {error}") from error

    async def close(self) -> None:
        """Wait for what runs, then close the connection."""
        await asyncio.to_thread(self._pool.shutdown)
        if self._connection is not None:
            self._connection.close()

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, **_QUICK)
        return self._connection
