"""One server's life: the server, the model beside it, and what its callers remember."""

from typing import Any

from hypothesis import strategies as st

from server_support.bench import Bench
from server_support.model.model import Model
from server_support.model.parts import Job

CALLBACKS = "callbacks"
BUSY = ("a", "b")
"""The queues that jobs are enqueued into."""
busy = st.sampled_from(["a", "a", "a", "b"])
"""What is made up should meet, and mostly does so in one of them."""
QUEUES = (*BUSY, "c", CALLBACKS)

NOBODY = f"job_{0:026}"

some = st.integers(0, 1_000_000)
"""Picks one of what there is by then."""


class Life:
    """What calls are made on."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.model = Model()
        self.model.now = bench.clock.now
        self.leases: list[Any] = []
        """The jobs that workers hold or held, in the order of the fetches."""
        self.sent: list[Any] = []
        """The enqueues that could be sent again."""

    def any_job(self, which: int, among: list[Job] | None = None) -> str:
        """The id of a job that fits, or of any that there is or was."""
        fit = [job.id for job in among or ()]
        known = fit if fit and which % 4 else [*self.model.jobs, *self.model.gone]
        return known[which % len(known)] if known else NOBODY


class Call:
    """One call of one client, as it was made up."""

    rank = 0
    """Calls of one commit take effect in the order of their ranks."""

    def aim(self, life: Life) -> Any:
        """What it is about: a job, a lease."""
        return None

    async def make(self, life: Life, aim: Any) -> Any:
        """The answer."""
        raise NotImplementedError

    def expect(self, life: Life, aim: Any, answer: Any) -> None:
        """Hold the answer against the model's, which learns of the call with it."""
        raise NotImplementedError
