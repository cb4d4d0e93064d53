"""Child processes: servers that are watched, and functions that run in a process of their own."""

import contextlib
import multiprocessing
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar

import psutil

from corvo_bench.results import BenchmarkError

P = ParamSpec("P")
R = TypeVar("R")

_POLL_SECONDS = 0.002


class Child:
    """A process that is gone when the block is left.

    It writes to a file, not to a pipe, whose reader would take its share of the CPU.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_seconds: float = 20.0,
    ) -> None:
        self._stop_seconds = stop_seconds
        self._name = Path(command[0]).name
        self._output = tempfile.NamedTemporaryFile(prefix="corvo-bench-")  # noqa: SIM115
        self._popen = subprocess.Popen(  # noqa: S603 - our own command lines
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
        )
        self.pid = self._popen.pid
        self._process = psutil.Process(self.pid)

    def wait_for_line(self, matches: Callable[[str], bool], seconds: float = 60.0) -> str:
        """The first line that `matches`. Raises `BenchmarkError` when none comes."""
        deadline = time.monotonic() + seconds
        path = Path(self._output.name)
        while True:
            has_ended = not self.is_running
            for line in path.read_text(errors="replace").splitlines(keepends=True):
                if line.endswith("\n") and matches(line):
                    return line
            if has_ended or time.monotonic() > deadline:
                raise BenchmarkError(f"{self._name} did not start:\n{self.tail()}")
            time.sleep(_POLL_SECONDS)

    def tail(self, size: int = 4000) -> str:
        """The last of what it wrote."""
        with Path(self._output.name).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - size))
            return file.read().decode(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def cpu_seconds(self) -> float:
        """User and system time so far, its own children included."""
        times = [self._process.cpu_times()]
        for child in self._process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                times.append(child.cpu_times())
        return sum(float(t.user + t.system) for t in times)

    def memory_mb(self) -> float:
        """Resident memory, its own children included, in MB of a million bytes."""
        sizes = [self._process.memory_info().rss]
        for child in self._process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                sizes.append(child.memory_info().rss)
        return sum(sizes) / 1e6

    def count_connections(self) -> int:
        """How many TCP connections are open."""
        found = self._process.net_connections("tcp")
        return sum(connection.status == psutil.CONN_ESTABLISHED for connection in found)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not do."""
        if self.is_running:
            self._popen.terminate()
        try:
            self._popen.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def run_apart(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a fresh process; its result, or `BenchmarkError` with what it raised."""
    with started_apart(function, *args, **kwargs) as result:
        return result()


@contextlib.contextmanager
def started_apart(
    function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> Iterator[Callable[[], R]]:
    """Start a function in a fresh process; yields what waits for its result."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(theirs, function, args, kwargs), daemon=True)
    process.start()
    theirs.close()

    def result() -> R:
        try:
            is_good, value = ours.recv()
        except EOFError:
            process.join()
            raise BenchmarkError(f"{function.__name__} ended with {process.exitcode}") from None
        if not is_good:
            raise BenchmarkError(f"{function.__name__}: {value}")
        answer: R = value
        return answer

    try:
        yield result
    finally:
        process.terminate()
        process.join()


def _call(
    pipe: "Connection[Any, Any]", function: Callable[..., Any], args: Any, kwargs: Any
) -> None:
    try:
        answer = (True, function(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - told to the parent
        answer = (False, f"{type(error).__name__}: {error}")
    pipe.send(answer)
