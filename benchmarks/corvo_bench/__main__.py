"""Measure Corvo and other job queues: `python -m corvo_bench`, or `nox -s bench --`."""

import argparse
import os
import resource
import sys
import tempfile
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from corvo_bench.baseline import changes_table
from corvo_bench.comparison.systems import ON_POSTGRES, SYSTEMS, System
from corvo_bench.report.charts import draw
from corvo_bench.report.page import page
from corvo_bench.results import BenchmarkError, Results
from corvo_bench.run import run
from corvo_bench.settings import FULL, QUICK

BENCHMARKS = Path(__file__).parents[1]
BASELINE = BENCHMARKS / "baseline.json"
_OPEN_FILES = 8192
DOCS = BENCHMARKS.parent / "docs"


def main() -> None:
    """Measure, and write the results and the report."""
    options = _parser().parse_args()
    _raise_file_limit()
    settings = QUICK if options.quick else FULL
    changes = {
        "rounds": options.rounds,
        "curve_rounds": options.curve_rounds,
        "seed_jobs": options.seed_jobs,
        "soak_seconds": options.soak_seconds,
    }
    settings = replace(settings, **{k: v for k, v in changes.items() if v is not None})

    def is_chosen(name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in options.only or ["*"])

    if options.scratch is not None:
        tempfile.tempdir = os.environ["TMPDIR"] = str(options.scratch.resolve())
    if options.show is None:
        try:
            systems = _systems(options)
            results = run(
                settings,
                is_chosen,
                systems,
                options.out / "results.json",
                has_nodes=options.nodes,
            )
        except BenchmarkError as error:
            sys.exit(f"the run is invalid: {error}")
    else:
        results = Results.load(options.show)
    write(results, options.out / "report.md", options.out)
    if options.docs:
        write(results, DOCS / "benchmarks.md", DOCS / "benchmarks")
    if options.save_baseline:
        results.save(BASELINE)
    if options.compare:
        if options.baseline.exists():
            print(changes_table(Results.load(options.baseline), results))
        else:
            print(f"{options.baseline} does not exist; create it with --save-baseline")


def _raise_file_limit() -> None:
    """Allow a thousand connections. Child processes inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def write(results: Results, page_path: Path, charts: Path) -> None:
    """Write the page to `page_path` and the charts to the directory `charts`."""
    draw(results, charts)
    link = charts.relative_to(page_path.parent).as_posix()
    page_path.write_text(page(results, link), encoding="utf-8")
    print(f"wrote {page_path}", file=sys.stderr)


def _systems(options: argparse.Namespace) -> list[System]:
    chosen: list[System] = []
    if options.peers:
        chosen += SYSTEMS
    if options.nodes:
        chosen += ON_POSTGRES
        others = [peer for peer in SYSTEMS if peer.backend == "postgres"]
        chosen += [peer for peer in others if peer not in chosen]
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="run everything at a small size, in less than 3 minutes",
    )
    add(
        "--only",
        action="append",
        metavar="NAME",
        help="run only this scenario; repeatable, with patterns such as by_*",
    )
    add("--peers", action="store_true", help="also measure the other systems")
    add(
        "--nodes",
        action="store_true",
        help="also measure Corvo on PostgreSQL with 1 to 3 nodes, and other systems on it",
    )
    add("--rounds", type=int, help="number of rounds")
    add("--curve-rounds", type=int, help="number of rounds of the curves")
    add("--seed-jobs", type=int, help="number of jobs in the full table")
    add("--soak-seconds", type=float, help="length of the soak in seconds")
    add("--out", type=Path, default=Path("benchmarks/results"), help="directory of the results")
    add("--scratch", type=Path, help="directory of the data, on the disk to measure")
    add(
        "--show", type=Path, metavar="JSON", help="measure nothing; report the results in this file"
    )
    add("--docs", action="store_true", help="also write docs/benchmarks.md")
    add("--compare", action="store_true", help="print ratios to the baseline")
    add(
        "--baseline",
        type=Path,
        default=BASELINE,
        help="results to compare with (default: %(default)s)",
    )
    add("--save-baseline", action="store_true", help="save the results as the baseline")
    return parser


if __name__ == "__main__":
    main()
