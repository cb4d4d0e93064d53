"""Run the scenarios in turn and collect their samples."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from corvo_bench import machine
from corvo_bench.comparison.backends import Backends
from corvo_bench.comparison.scenarios import node_scenarios, system_scenarios
from corvo_bench.comparison.systems import System
from corvo_bench.results import NotRun, Results, Sample
from corvo_bench.scenarios import registry
from corvo_bench.scenarios.bench import Bench, Scenario
from corvo_bench.settings import Settings


def run(
    settings: Settings,
    is_chosen: Callable[[str], bool],
    systems: Sequence[System],
    path: Path,
    *,
    has_nodes: bool = False,
) -> Results:
    """Run the scenarios that `is_chosen` accepts, round by round; `systems` take turns.

    The results so far are written to `path` after each scenario. `has_nodes` adds the scenarios of
    several nodes on one database. The data goes to the directory for temporary files, which must
    be on the disk to measure. Raises `BenchmarkError` if a measurement is invalid.
    """
    with (
        tempfile.TemporaryDirectory(prefix="corvo-bench-") as temporary,
        Backends(Path(temporary)) as backends,
    ):
        bench = Bench(settings, Path(temporary))
        results = Results(
            when=datetime.now(UTC).strftime("%Y-%m-%d"),
            machine=machine.describe(bench.directory),
            versions=machine.versions(),
            settings=asdict(settings),
            notes={system.name: system.note for system in systems},
        )
        groups: Sequence[tuple[Mapping[str, Scenario], int]] = (
            (registry.TABLE, settings.rounds),
            (system_scenarios(backends, systems), settings.rounds),
            (node_scenarios(backends) if has_nodes else {}, settings.rounds),
            (registry.CURVES, settings.curve_rounds),
            (registry.ONCE, 1),
        )
        for scenarios, rounds in groups:
            for number in range(1, rounds + 1):
                for name in filter(is_chosen, scenarios):
                    _report(f"{name} ({number} of {rounds})")
                    _gather(results, name, scenarios[name](bench))
                    results.save(path)
        results.versions |= backends.versions
        results.machine["load_after"] = list(os.getloadavg())
        results.save(path)
    return results


def _gather(results: Results, name: str, samples: Iterator[Sample]) -> None:
    started = time.monotonic()
    try:
        for sample in samples:
            results.add([sample])
            at = "" if sample.x is None else f" at {sample.x:,g}"
            _report(f"  {sample.metric} {sample.subject}{at}: {sample.value:,.5g}")
    except NotRun as reason:
        results.omit(name, str(reason))
        _report(f"  not run: {reason}")
    _report(f"  took {time.monotonic() - started:.1f} s")


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
