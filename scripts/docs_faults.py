"""Render the figures of the fault tests' last run, which `docs/faults.jsonl` holds.

To make a new run, remove the file, then set CORVO_FAULT_FIGURES to its full path for nox's sessions
`integration`, `postgres` and `cluster`. Each fault test appends a line to it.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

FIGURES = Path(__file__).parent.parent / "docs" / "faults.jsonl"


def fault_table() -> Iterator[str]:
    """Yield a table of the figures, added up by test."""
    totals: dict[str, Counter[str]] = {}
    for line in FIGURES.read_text(encoding="utf-8").splitlines():
        figures: dict[str, int | str] = json.loads(line)
        total = totals.setdefault(str(figures.pop("test")), Counter())
        for name, number in figures.items():
            total[name] += int(number)
    yield "| run | figures |"
    yield "|---|---|"
    for test, total in sorted(totals.items()):
        shown = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in total.items())
        yield f"| {f'`{test}`' if test.startswith('test_') else test} | {shown} |"
