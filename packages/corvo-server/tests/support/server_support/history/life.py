"""The server and the model of one history, and the memory of their callers."""

from typing import Any

from hypothesis import strategies as st

from server_support.bench import Bench
from server_support.model.model import Model
from server_support.model.parts import Job

CALLBACKS = "callbacks"
BUSY = ("a", "b")
"""Queues of enqueued jobs."""
busy = st.sampled_from(["a", "a", "a", "b"])
"""Strategy for queues. One is much more frequent, so that calls affect the same jobs."""
QUEUES = (*BUSY, "c", CALLBACKS)

NOBODY = f"job_{0:026}"

some = st.integers(0, 1_000_000)
"""Strategy for an index, which later selects one of the existing things."""


class Life:
    """The server, the model, and the leases and enqueues of their callers."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.model = Model()
        self.model.now = bench.clock.now
        self.leases: list[Any] = []
        """Jobs that workers have fetched, in the order of the fetches."""
        self.sent: list[Any] = []
        """Enqueues that a client can repeat."""

    def any_job(self, which: int, among: list[Job] | None = None) -> str:
        """Return the id of a suitable job, or else of any existing or deleted job."""
        fit = [job.id for job in among or ()]
        known = fit if fit and which % 4 else [*self.model.jobs, *self.model.deleted]
        return known[which % len(known)] if known else NOBODY


class Call:
    """One random call of a client."""

    rank = 0
    """Order of the call within a commit, as the rank of its verb."""

    def aim(self, life: Life) -> Any:
        """Return the target of the call, e.g. a job or a lease."""
        return None

    async def make(self, life: Life, aim: Any) -> Any:
        """Make the call on the server and return the answer."""
        raise NotImplementedError

    def expect(self, life: Life, aim: Any, answer: Any) -> None:
        """Apply the call to the model, and assert that the answer is the expected one."""
        raise NotImplementedError
