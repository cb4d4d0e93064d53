"""The command line: `python -m corvo_bench`, or `nox -s bench --`."""

import argparse
import os
import resource
import sys
import tempfile
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from corvo_bench.baseline import told
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
    """Measure, and write what was measured."""
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
            sys.exit(f"worth nothing: {error}")
    else:
        results = Results.load(options.show)
    write(results, options.out / "report.md", options.out)
    if options.docs:
        write(results, DOCS / "benchmarks.md", DOCS / "benchmarks")
    if options.save_baseline:
        results.save(BASELINE)
    if options.compare:
        if options.baseline.exists():
            print(told(Results.load(options.baseline), results))
        else:
            print(f"there is no {options.baseline} to compare with: --save-baseline makes one")


def _raise_file_limit() -> None:
    """For a thousand connections; what we start inherits it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def write(results: Results, page_path: Path, charts: Path) -> None:
    """Write the page, and the charts beside it."""
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
    add("--quick", action="store_true", help="everything, but small: under 3 minutes")
    add("--only", action="append", metavar="NAME", help="this scenario (by_* for all like it)")
    add("--peers", action="store_true", help="other systems beside Corvo")
    add("--nodes", action="store_true", help="Corvo on PostgreSQL, 1 to 3 nodes, and others on it")
    add("--rounds", type=int, help="how often each is measured, in turn")
    add("--curve-rounds", type=int, help="how often each curve is measured")
    add("--seed-jobs", type=int, help="jobs in the table of the seeded scenarios")
    add("--soak-seconds", type=float, help="length of the soak")
    add("--out", type=Path, default=Path("benchmarks/results"), help="directory for the results")
    add("--scratch", type=Path, help="directory for the data: on the disk to be measured")
    add("--show", type=Path, metavar="JSON", help="measure nothing, report these results")
    add("--docs", action="store_true", help="write docs/benchmarks.md as well")
    add("--compare", action="store_true", help="print ratios to the baseline")
    add("--baseline", type=Path, default=BASELINE, help="results to compare with")
    add("--save-baseline", action="store_true", help="keep the results as the baseline")
    return parser


if __name__ == "__main__":
    main()
