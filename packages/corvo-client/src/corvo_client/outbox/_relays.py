"""Relays that can run beside an application or a worker."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from corvo_client._async.relay import AsyncRelayLoop
from corvo_client._sync.relay import RelayLoop


class Relay(RelayLoop):
    """Sends the committed rows of an outbox; for plain code. Call `run_once`, `run` or `running`.

    Any number of relays may work on one outbox. One that dies between sending and removing leaves
    rows that are sent again: their job ids make that one job.
    """

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run in a thread of its own until the block ends."""
        thread = threading.Thread(target=self.run, name="corvo-outbox", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stop()
            thread.join()


class AsyncRelay(AsyncRelayLoop):
    """Sends the committed rows of an outbox; for coroutines. As `Relay` otherwise."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run in the background until the block ends; e.g. in the lifespan of a worker."""
        task = asyncio.create_task(self.run())
        try:
            yield
        finally:
            self.stop()
            await task
