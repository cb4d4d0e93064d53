"""One face for both clients, so that one test serves both."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

from corvo_client import AsyncClient, Client

_MOST_CALLS_AT_A_TIME = 50


class _InThreads:
    """A `Client` whose methods are awaited: each call is made in a thread of its own."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._threads = ThreadPoolExecutor(_MOST_CALLS_AT_A_TIME)

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._client, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, partial(method, *args, **kwargs))

        return call

    async def close(self) -> None:
        self._client.close()
        self._threads.shutdown(wait=False)


def awaited(client: Client) -> AsyncClient:
    """The same client, to be used as if it were an `AsyncClient`."""
    return cast("AsyncClient", _InThreads(client))
