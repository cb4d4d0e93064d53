"""The life of a worker from its start to its end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from corvo_client._redirect import bound
from corvo_client.worker._log import log as _log
from corvo_client.worker._middleware import Surroundings
from corvo_client.worker._publish import publish_defaults
from corvo_client.worker._run import Run
from corvo_client.worker._runner import AnyTask
from corvo_client.worker._server import Server


class Life:
    """One run of a worker within its lifespan. Create and use it in the worker's event loop.

    `published` are the tasks whose options become the defaults of their queues meanwhile.
    """

    def __init__(
        self,
        run: Run,
        server: Server,
        *,
        lifespan: Callable[[], AbstractAsyncContextManager[Any]],
        surroundings: Surroundings,
        published: Sequence[AnyTask],
    ) -> None:
        self.run = run
        self.is_alive = True
        """False after the lifespan was left."""
        self._server = server
        self._lifespan = lifespan
        self._surroundings = surroundings
        self._published = published
        self._error: BaseException | None = None
        self._has_started = asyncio.Event()
        self._has_ended = asyncio.Event()

    async def live(self) -> None:
        """Enter the lifespan, run until the run is stopped, and close the connections."""
        try:
            with bound():
                async with self._lifespan() as self._surroundings.state, self._publishing():
                    self._has_started.set()
                    await self.run.run()
        except Exception as error:
            self._error = error
            raise
        finally:
            self._surroundings.state = None
            self.is_alive = False
            try:
                await self._server.close()
            finally:
                self._has_started.set()
                self._has_ended.set()

    async def in_background(self) -> asyncio.Task[None]:
        """Live in a task, and return the task after the start. Raise an error before that.

        A later error is logged at once, because nobody may wait for it.
        """
        task = asyncio.create_task(self.live())
        try:
            await self._has_started.wait()
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        if self._has_ended.is_set():
            await task
        task.add_done_callback(_log_error)
        return task

    async def ended(self) -> None:
        """Wait for the end. Raise the error that ended the run, if there is one."""
        await self._has_ended.wait()
        if self._error is not None:
            raise self._error

    @asynccontextmanager
    async def _publishing(self) -> AsyncIterator[None]:
        publishing = asyncio.create_task(publish_defaults(self._server, self._published))
        try:
            yield
        finally:
            publishing.cancel()
            await asyncio.wait([publishing])


def _log_error(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the worker ended with an error and runs no more jobs", exc_info=error)
