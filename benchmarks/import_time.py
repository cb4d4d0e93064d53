"""Measure how long a new Python process takes to import what users wait for.

    python benchmarks/import_time.py [RUNS]

Each round starts every command once, so that a busy moment of the machine affects all commands. The
output has medians and quartiles of wall and CPU time. All commands include the time of the first
command, an interpreter that does nothing. The first round is not counted, because it may compile.
The goals apply to an idle machine; on a busy one, compare the CPU time.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SCRIPTS = Path(sys.executable).parent


class Command(NamedTuple):
    """A command to time. `goal` is its maximum CPU time in ms; None without a goal."""

    title: str
    arguments: Sequence[str]
    goal: float | None = None


COMMANDS = (
    Command("python -c pass", (sys.executable, "-c", "pass")),
    Command("import corvo_client", (sys.executable, "-c", "import corvo_client"), 150),
    Command(
        "from corvo_client import Client",
        (sys.executable, "-c", "from corvo_client import Client"),
    ),
    Command(
        "from corvo_client.worker import Worker",
        (sys.executable, "-c", "from corvo_client.worker import Worker"),
    ),
    Command("corvo --help", (str(SCRIPTS / "corvo"), "--help"), 250),
    Command("corvo enqueue --help", (str(SCRIPTS / "corvo"), "enqueue", "--help")),
    Command("corvo-server --help", (str(SCRIPTS / "corvo-server"), "--help")),
)


class Times(NamedTuple):
    """Wall and CPU time of one run in ms."""

    wall: float
    cpu: float


def timed(arguments: Sequence[str]) -> Times:
    """Run a command and return its times. Raises `CalledProcessError` if it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)  # noqa: S603
    _, status, usage = os.wait4(process.pid, 0)
    ended = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return Times((ended - started) * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def spread(values: Sequence[float]) -> str:
    """Format the median and, in brackets, the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:6.0f} [{low:4.0f} {high:4.0f}]"


def main(arguments: Sequence[str]) -> int:
    """Measure and print. Return 1 if a median of the CPU time exceeds its goal, else 0."""
    rounds = int(arguments[0]) if arguments else 15
    taken: dict[str, list[Times]] = {command.title: [] for command in COMMANDS}
    for number in range(rounds + 1):
        for command in COMMANDS:
            times = timed(command.arguments)
            if number:
                taken[command.title].append(times)
    print(f"n = {rounds}, Python {sys.version.split()[0]}, milliseconds: median [quartiles]")
    print(f"{'':40} {'wall':>18} {'CPU':>18}  goal")
    is_slow = False
    for command in COMMANDS:
        walls, cpus = zip(*taken[command.title], strict=True)
        goal = "" if command.goal is None else f"{command.goal:.0f}"
        print(f"{command.title:40} {spread(walls):>18} {spread(cpus):>18}  {goal}")
        is_slow |= command.goal is not None and statistics.median(cpus) > command.goal
    return int(is_slow)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
