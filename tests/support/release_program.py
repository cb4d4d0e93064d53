"""Two releases of one application: the new one has more parameters.

As a program, it runs a worker of one release. CORVO_SERVER names the server. Arguments: `old` or
`new`, and the prefix of the queues.
"""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel

from corvo_client import DefaultOptions
from corvo_client.worker import Worker

# Many quick attempts, because the test runs both releases side by side for a while.
_OPTIONS: DefaultOptions = {
    "max_retries": 1000,
    "retry_backoff": "fixed",
    "retry_base_delay": "100ms",
}


class Letter(BaseModel):
    """The whole payload, as long as no parameter is added."""

    to: str
    text: str = ""


def old_release(prefix: str) -> Worker:
    """Return the worker of the release before the change."""
    worker = Worker(concurrency=4)

    @worker.task(f"{prefix}.letters", **_OPTIONS)
    async def send(letter: Letter) -> Any:
        return [letter.to, False]

    @worker.task(f"{prefix}.sums", **_OPTIONS)
    def add(left: int) -> int:
        return left

    return worker


def new_release(prefix: str) -> Worker:
    """Return the worker of the release that adds a parameter to each task."""
    worker = Worker(concurrency=4)

    @worker.task(f"{prefix}.letters", **_OPTIONS)
    async def send(letter: Letter, urgent: bool = False) -> Any:
        return [letter.to, urgent]

    @worker.task(f"{prefix}.sums", **_OPTIONS)
    def add(left: int, right: int = 0) -> int:
        return left + right

    return worker


@asynccontextmanager
async def _announced(_worker: Worker) -> AsyncIterator[None]:
    print("running", flush=True)
    yield


RELEASES = {"old": old_release, "new": new_release}


def main() -> None:
    """Run a worker until a signal stops it."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    release, prefix = sys.argv[1:]
    worker = RELEASES[release](prefix)
    worker.lifespan = _announced
    worker.run()


if __name__ == "__main__":
    main()
