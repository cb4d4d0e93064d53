"""What a load reports: how much it did in which time, and which jobs are to be accounted for."""

import resource
from collections import Counter
from dataclasses import dataclass, field

from corvo_bench.latency import Latencies
from corvo_bench.results import BenchmarkError


@dataclass
class Outcome:
    """`count` is of what the load is about: requests, jobs or lives. Ids are as on the wire."""

    seconds: float
    count: int
    cpu_seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    enqueued: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.count / self.seconds

    def require(self, *allowed: int) -> None:
        """Raise `BenchmarkError` when any answer was not one of `allowed`."""
        wrong = {status: n for status, n in self.statuses.items() if status not in allowed}
        if wrong:
            raise BenchmarkError(f"answers that should not be, with how many of them: {wrong}")


def cpu_seconds() -> float:
    """User and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
