"""What a child process has of the one that started it."""

import asyncio
import os
from contextlib import suppress
from typing import NamedTuple

READY = b"!"


class Lifeline(NamedTuple):
    """Two ends of pipes. The one to stop ends with the parent, too, however that ends."""

    stop: int
    ready: int

    def watch(self) -> asyncio.Event:
        """Is set once this process is to stop. Needs the running event loop."""
        told = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.remove_reader(self.stop)
            told.set()

        loop.add_reader(self.stop, tell)
        return told

    def tell_ready(self) -> None:
        """Requests are taken from now on."""
        with suppress(BrokenPipeError):  # the parent is gone, and the other pipe says so
            os.write(self.ready, READY)
