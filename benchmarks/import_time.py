"""How long a fresh Python takes to import what users wait for.

    python benchmarks/import_time.py [RUNS]

Each round starts every command once, in turn, so that a busy moment hits all of them alike. Shown
are medians over the rounds, with the quartiles, of wall and of CPU time; the time of an interpreter
that does nothing is a line of its own, and part of all others. The first round, which may compile,
does not count. Wants are for a machine of its own: on a busy one look at the CPU time.
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
    """What is started, and how long it may take (ms), if there is anything to say about that."""

    title: str
    arguments: Sequence[str]
    wanted: float | None = None


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
    """Of one run, in milliseconds."""

    wall: float
    cpu: float


def timed(arguments: Sequence[str]) -> Times:
    """Run a command to its end. Raises `CalledProcessError` when it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)  # noqa: S603
    _, status, usage = os.wait4(process.pid, 0)
    ended = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return Times((ended - started) * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def spread(values: Sequence[float]) -> str:
    """The median and, in brackets, the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:6.0f} [{low:4.0f} {high:4.0f}]"


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 when a median of CPU time is above what is wanted."""
    rounds = int(arguments[0]) if arguments else 15
    taken: dict[str, list[Times]] = {command.title: [] for command in COMMANDS}
    for number in range(rounds + 1):
        for command in COMMANDS:
            times = timed(command.arguments)
            if number:
                taken[command.title].append(times)
    print(f"n = {rounds}, Python {sys.version.split()[0]}, milliseconds: median [quartiles]")
    print(f"{'':40} {'wall':>18} {'CPU':>18}  wanted")
    is_slow = False
    for command in COMMANDS:
        walls, cpus = zip(*taken[command.title], strict=True)
        wanted = "" if command.wanted is None else f"{command.wanted:.0f}"
        print(f"{command.title:40} {spread(walls):>18} {spread(cpus):>18}  {wanted}")
        is_slow |= command.wanted is not None and statistics.median(cpus) > command.wanted
    return int(is_slow)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
