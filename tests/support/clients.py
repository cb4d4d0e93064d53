"""An adapter that lets one test cover both clients."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

from corvo_client import AsyncClient, Client

_MAX_CONCURRENT_CALLS = 50


class _InThreads:
    """A `Client` with awaitable methods. Each call runs in a thread."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._threads = ThreadPoolExecutor(_MAX_CONCURRENT_CALLS)

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._client, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, partial(method, *args, **kwargs))

        return call

    async def close(self) -> None:
        self._client.close()
        self._threads.shutdown(wait=False)


def as_async(client: Client) -> AsyncClient:
    """Return an adapter for the client with the methods of an `AsyncClient`."""
    return cast("AsyncClient", _InThreads(client))
