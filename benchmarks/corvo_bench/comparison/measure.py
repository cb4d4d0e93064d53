"""Measures one system at every comparison metric.

All processes of a run record each job in a shared ledger.
"""

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from corvo_bench.children import Child
from corvo_bench.comparison.backends import Backends
from corvo_bench.comparison.environments import command_of
from corvo_bench.comparison.systems import System
from corvo_bench.latency import Latencies
from corvo_bench.results import BenchmarkError, Sample
from corvo_bench.scenarios.bench import Bench
from ledger import Ledger

_PATIENCE_SECONDS = 60.0
_COMMAND_SECONDS = 300.0
_POLL_SECONDS = 0.02
_numbers = itertools.count(1)


def measure_system(system: System, backends: Backends, bench: Bench) -> Iterator[Sample]:
    """Yield one value of each metric.

    Raises `NotRun` when the system cannot run on this machine, and `BenchmarkError` when jobs were
    lost, doubled or failed.
    """
    command = command_of(system.runtime, system.adapter)
    settings = bench.settings
    with backends.start(system.backend) as url, bench.data_dir() as directory:
        run = _Run(system.name, command, url, directory)
        yield from run.enqueue(
            {
                "serial": settings.peer_serial,
                "concurrent": settings.peer_concurrent,
                "bulk": settings.peer_bulk,
            }
        )
        yield run.drain(settings.peer_drain)
        yield from run.live(settings.peer_steady, settings.peer_pickups)


class _Run:
    """One run of a system; each metric uses its own queue and ledger."""

    def __init__(self, name: str, command: Sequence[str], url: str, directory: Path) -> None:
        self._name = name
        self._command = command
        self._url = url
        self._directory = directory

    def _begin(self, jobs: int) -> None:
        number = next(_numbers)
        self._queue = f"bench-{number}"
        self._path = self._directory / f"ledger-{number}"
        self._ledger = Ledger(self._path, jobs)
        self.call("prepare")

    def _arguments(self, *arguments: str) -> list[str]:
        return [*self._command, self._url, self._queue, str(self._path), *arguments]

    def call(self, *arguments: str) -> object:
        """Run a command of the harness and return its answer.

        Raises `BenchmarkError` if the command fails or takes too long.
        """
        command = self._arguments(*arguments)
        try:
            done = subprocess.run(  # noqa: S603 - our own command lines
                command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"{self._name}: `{' '.join(arguments)}` took too long") from None
        if done.returncode:
            output = (done.stderr or done.stdout)[-1500:]
            raise BenchmarkError(f"{self._name}: `{' '.join(arguments)}` failed:\n{output}")
        return json.loads(done.stdout.splitlines()[-1])

    def produce(self, first: int, steps: dict[str, int]) -> dict[str, float]:
        """Enqueue the jobs of all steps. Return the seconds of each step."""
        sizes = [f"{step}={jobs}" for step, jobs in steps.items()]
        taken = self.call("produce", str(first), *sizes)
        if not isinstance(taken, dict):
            raise BenchmarkError(f"{self._name}: `produce` answered {taken!r}; expected an object")
        return taken

    def enqueue(self, steps: dict[str, int]) -> Iterator[Sample]:
        """Measure enqueues without a worker."""
        self._begin(sum(steps.values()))
        taken = self.produce(0, steps)
        self._require_unfinished(sum(steps.values()))
        for step, jobs in steps.items():
            yield self._sample(f"peer.{step}", jobs / taken[step])

    def drain(self, jobs: int) -> Sample:
        """Measure one worker process from the start of the first job until none is unfinished."""
        self._begin(jobs)
        self.produce(0, {"bulk": jobs})
        numbers = range(jobs)
        with self._finisher(numbers) as finished, self._worker():
            self._wait_for(numbers)
            end = finished()
        began = min(start for _, start, _ in self._rows(numbers))
        return self._sample("peer.drain", jobs / ((end - began) / 1e9))

    def live(self, jobs: int, pickups: int) -> Iterator[Sample]:
        """Measure with a waiting worker: first many enqueues in flight, then one at a time."""
        self._begin(1 + jobs + pickups)
        steady = range(1, 1 + jobs)
        single = range(1 + jobs, 1 + jobs + pickups)
        with self._worker():
            self.produce(0, {"serial": 1})
            self._wait_for(range(1))
            with self._finisher(steady) as finished:
                self.produce(steady.start, {"concurrent": jobs})
                self._wait_for(steady)
                end = finished()
            self.produce(single.start, {"pickup": pickups})
            self._wait_for(single)
            self._require_unfinished(0)
        began = min(sent for sent, _, _ in self._rows(steady))
        yield self._sample("peer.steady", jobs / ((end - began) / 1e9))
        latencies = Latencies((start - sent) / 1e9 for sent, start, _ in self._rows(single))
        for percent in (50, 99):
            yield self._sample(f"peer.pickup.p{percent}", latencies.percentile(percent))

    @contextmanager
    def _finisher(self, numbers: range) -> Iterator[Callable[[], int]]:
        """Ask the backend for unfinished jobs, in a separate process.

        Yields a function that waits until no job is unfinished and returns that time in ns of the
        monotonic clock.
        """
        command = self._arguments("finish", str(numbers.start), str(len(numbers)))
        with subprocess.Popen(  # noqa: S603 - our own command lines
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:

            def finished() -> int:
                try:
                    output, error = process.communicate(timeout=_PATIENCE_SECONDS)
                except subprocess.TimeoutExpired:
                    raise BenchmarkError(f"{self._name}: jobs are left unfinished") from None
                if process.returncode:
                    raise BenchmarkError(f"{self._name}: `finish` failed:\n{error[-1500:]}")
                return int(output)

            try:
                yield finished
            finally:
                process.kill()

    @contextmanager
    def _worker(self) -> Iterator[None]:
        with Child(self._arguments("work"), stop_seconds=3.0) as child:
            try:
                yield
            except BenchmarkError as error:
                raise BenchmarkError(f"{error}\nIts worker: {child.tail(1500)}") from None
            if not child.is_running:
                raise BenchmarkError(f"{self._name}: its worker ended:\n{child.tail(1500)}")

    def _wait_for(self, numbers: range) -> None:
        """Wait until all jobs are started. The timeout restarts when a job is started."""
        before, since = 0, time.monotonic()
        while (done := self._ledger.count_started(numbers)) < len(numbers):
            if done > before:
                before, since = done, time.monotonic()
            if time.monotonic() - since > _PATIENCE_SECONDS:
                raise BenchmarkError(f"{self._name}: {len(numbers) - done} jobs were never started")
            time.sleep(_POLL_SECONDS)

    def _require_unfinished(self, jobs: int) -> None:
        """Raise `BenchmarkError` unless the backend has `jobs` unfinished jobs.

        For 0, wait for the last jobs to finish.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (found := self.call("count")) != jobs:
            if time.monotonic() > deadline or jobs:
                raise BenchmarkError(f"{self._name}: {found} jobs are unfinished; expected {jobs}")

    def _rows(self, numbers: range) -> Sequence[tuple[int, int, int]]:
        rows = self._ledger.rows(numbers)
        again = sum(runs != 1 for _, _, runs in rows)
        if again:
            raise BenchmarkError(f"{self._name}: {again} jobs were started more than once")
        return rows

    def _sample(self, metric: str, value: float) -> Sample:
        return Sample(metric, value, subject=self._name)
