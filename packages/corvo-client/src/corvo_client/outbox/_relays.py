"""Relays that run in the background of an application or a worker."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from corvo_client._async.relay import AsyncRelayLoop
from corvo_client._sync.relay import RelayLoop


class Relay(RelayLoop):
    """Sends the committed rows of an outbox. Use `run_once`, `run` or `running`.

    Any number of relays may serve one outbox. If a relay dies between sending and deleting rows,
    the rows are sent again; their job ids prevent duplicate jobs.
    """

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the relay in a separate thread until the block ends."""
        thread = threading.Thread(target=self.run, name="corvo-outbox", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stop()
            thread.join()


class AsyncRelay(AsyncRelayLoop):
    """Sends the committed rows of an outbox, for asyncio. See `Relay`."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the relay in an asyncio task until the block ends, e.g. in a worker's lifespan."""
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            self.stop()
            await task
