"""The result of a load: its counts, its times, and the jobs to account for."""

import resource
from collections import Counter
from dataclasses import dataclass, field

from corvo_bench.latency import Latencies
from corvo_bench.results import BenchmarkError


@dataclass
class Outcome:
    """The result of a load. `count` is a number of requests or of jobs, depending on the load.

    `enqueued` and `finished` are job ids.
    """

    seconds: float
    count: int
    cpu_seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    enqueued: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """`count` per second."""
        return self.count / self.seconds

    def require(self, *allowed: int) -> None:
        """Raise `BenchmarkError` if the status of an answer is not in `allowed`."""
        wrong = {status: n for status, n in self.statuses.items() if status not in allowed}
        if wrong:
            raise BenchmarkError(f"unexpected statuses, with their counts: {wrong}")


def cpu_seconds() -> float:
    """Return user and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
