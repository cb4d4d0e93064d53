"""What an adapter has to offer. One of the two classes, whichever the system's own API is like.

What is not abstract need not be there: not every system has something to prepare, or to open.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

PAYLOAD = {"to": "ada@example.com", "subject": "hello"}
"""Of every job, beside its number."""

Start = Callable[[int], None]
"""To be called by a job with its number, and by nothing else."""


class SyncPeer(ABC):
    """A system whose API blocks. `url` is the backend's; `queue` a name that no one else uses."""

    def __init__(self, url: str, queue: str) -> None:
        self.url = url
        self.queue = queue

    def prepare(self) -> None:  # noqa: B027
        """Make what the backend needs, unless it is there. Called before a queue's first job."""

    @abstractmethod
    def enqueue(self, number: int) -> None:
        """Enqueue a job, and return when the backend has it. Called by many threads at once."""

    @abstractmethod
    def enqueue_many(self, numbers: Sequence[int]) -> None:
        """Enqueue jobs by whatever the system has for that."""

    @abstractmethod
    def count_unfinished(self) -> int:
        """How many jobs of the queue the backend has that are not finished."""

    @abstractmethod
    def work(self, start: Start) -> None:
        """Run a worker until the process is told to end."""


class AsyncPeer(ABC):
    """The same for a system whose API is made of coroutines."""

    def __init__(self, url: str, queue: str) -> None:
        self.url = url
        self.queue = queue

    async def open(self) -> None:  # noqa: B027
        """Connect."""

    async def close(self) -> None:  # noqa: B027
        """Disconnect."""

    async def prepare(self) -> None:  # noqa: B027
        """Make what the backend needs, unless it is there. Called before a queue's first job."""

    def blocking(self) -> AbstractContextManager[Start] | None:
        """What enqueues a job by an API that blocks, if the system has one as well."""
        return None

    @abstractmethod
    async def enqueue(self, number: int) -> None:
        """Enqueue a job, and return when the backend has it. Called by many tasks at once."""

    @abstractmethod
    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        """Enqueue jobs by whatever the system has for that."""

    @abstractmethod
    async def count_unfinished(self) -> int:
        """How many jobs of the queue the backend has that are not finished."""

    @abstractmethod
    async def work(self, start: Start) -> None:
        """Run a worker until the process is told to end."""
