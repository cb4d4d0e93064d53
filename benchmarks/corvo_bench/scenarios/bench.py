"""Shared by all scenarios: settings, data directories, servers, and measured loads."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Concatenate, ParamSpec

from corvo_bench.children import run_apart
from corvo_bench.load.outcome import Outcome
from corvo_bench.results import BenchmarkError, Sample
from corvo_bench.seed import seed
from corvo_bench.server import Server
from corvo_bench.settings import Settings

QUEUE = "bench"
FINE = (200, 201, 204)

P = ParamSpec("P")


@dataclass
class Bench:
    """One run. It writes only below `directory`, which the caller removes."""

    settings: Settings
    directory: Path
    _seeded: dict[int, Path] = field(default_factory=dict)

    @contextmanager
    def fresh_server(self, *options: str) -> Iterator[Server]:
        """Start a server without jobs. It stops and its data is removed when the block ends."""
        with self.data_dir() as data_dir, Server(data_dir, *options) as server:
            yield server

    @contextmanager
    def data_dir(self) -> Iterator[Path]:
        """Make an empty data directory, which is removed when the block ends."""
        path = Path(tempfile.mkdtemp(dir=self.directory))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def seeded(self, jobs: int) -> Path:
        """Return a data directory with `jobs` jobs. All rounds of a run share it."""
        if jobs not in self._seeded:
            path = self.directory / f"seeded-{jobs}"
            run_apart(seed, path, jobs)
            self._seeded[jobs] = path
        return self._seeded[jobs]


Scenario = Callable[[Bench], Iterator[Sample]]


def measure(
    metric: str,
    server: Server,
    load: Callable[Concatenate[str, P], Outcome],
    *args: P.args,
    **kwargs: P.kwargs,
) -> tuple[Sample, Outcome]:
    """Run a load in a separate process. Return its rate as a sample, and its outcome.

    The details of the sample have the CPU time per job of the server and of the load in µs, and
    latencies in ms. Raises `BenchmarkError` if a request failed or no job was done.
    """
    used = server.child.cpu_seconds()
    outcome = run_apart(load, server.url, *args, **kwargs)
    used = server.child.cpu_seconds() - used
    outcome.require(*FINE)
    if not outcome.count:
        raise BenchmarkError(f"{metric}: the load did no job")
    details = {
        "server_cpu_us": used / outcome.count * 1e6,
        "load_cpu_us": outcome.cpu_seconds / outcome.count * 1e6,
    }
    if len(outcome.latencies):
        details["p50_ms"] = outcome.latencies.percentile(50)
        details["p99_ms"] = outcome.latencies.percentile(99)
    return Sample(metric, outcome.rate, details=details), outcome
