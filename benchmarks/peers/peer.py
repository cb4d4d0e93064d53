"""Base classes of the adapters: one for blocking APIs and one for APIs with coroutines.

Methods that are not abstract are optional: some systems have nothing to prepare or open.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

PAYLOAD = {"to": "ada@example.com", "subject": "hello"}
"""Payload of every job, besides its number."""

Start = Callable[[int], None]
"""Records the start of a job. Each job calls it once, with its number."""


class SyncPeer(ABC):
    """A system with a blocking API.

    `url` is the URL of the backend. `queue` is a name that nothing else uses.
    """

    def __init__(self, url: str, queue: str) -> None:
        self.url = url
        self.queue = queue

    def prepare(self) -> None:  # noqa: B027
        """Create what the backend needs and does not have. Called before a queue's first job."""

    @abstractmethod
    def enqueue(self, number: int) -> None:
        """Enqueue a job and return when the backend has stored it. Must be thread-safe."""

    @abstractmethod
    def enqueue_many(self, numbers: Sequence[int]) -> None:
        """Enqueue jobs with the bulk call of the system, or one at a time without one."""

    @abstractmethod
    def count_unfinished(self) -> int:
        """Return the number of unfinished jobs of the queue, as the backend reports it."""

    @abstractmethod
    def work(self, start: Start) -> None:
        """Run a worker until the process is terminated. Its jobs call `start`."""


class AsyncPeer(ABC):
    """A system with an API of coroutines. The methods correspond to those of `SyncPeer`."""

    def __init__(self, url: str, queue: str) -> None:
        self.url = url
        self.queue = queue

    async def open(self) -> None:  # noqa: B027
        """Connect."""

    async def close(self) -> None:  # noqa: B027
        """Disconnect."""

    async def prepare(self) -> None:  # noqa: B027
        """Create what the backend needs and does not have. Called before a queue's first job."""

    def blocking(self) -> AbstractContextManager[Start] | None:
        """Return a context of a blocking enqueue function; None if the system has none."""
        return None

    @abstractmethod
    async def enqueue(self, number: int) -> None:
        """Enqueue a job and return when the backend has stored it. Called by many tasks at once."""

    @abstractmethod
    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        """Enqueue jobs with the bulk call of the system, or one at a time without one."""

    @abstractmethod
    async def count_unfinished(self) -> int:
        """Return the number of unfinished jobs of the queue, as the backend reports it."""

    @abstractmethod
    async def work(self, start: Start) -> None:
        """Run a worker until the process is terminated. Its jobs call `start`."""
