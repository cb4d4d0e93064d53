"""Start child processes: programs such as servers, and functions in a separate process."""

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
    """A child process. It is started at once and stopped when the `with` block ends.

    Its output goes to a file, because the reader of a pipe would use CPU time.
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
        """Return the first line of output that `matches`.

        Raises `BenchmarkError` if the process ends or `seconds` pass before that.
        """
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
        """Return the last `size` bytes of the output."""
        with Path(self._output.name).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - size))
            return file.read().decode(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._popen.poll() is None

    def cpu_seconds(self) -> float:
        """Return user and system time so far, including child processes."""
        times = [self._process.cpu_times()]
        for child in self._process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                times.append(child.cpu_times())
        return sum(float(t.user + t.system) for t in times)

    def memory_mb(self) -> float:
        """Return the resident memory in MB (10^6 bytes), including child processes."""
        sizes = [self._process.memory_info().rss]
        for child in self._process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                sizes.append(child.memory_info().rss)
        return sum(sizes) / 1e6

    def count_connections(self) -> int:
        """Return the number of open TCP connections."""
        found = self._process.net_connections("tcp")
        return sum(connection.status == psutil.CONN_ESTABLISHED for connection in found)

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if the process does not end in time."""
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
    """Call a function in a new process and return its result.

    Raises `BenchmarkError` if the function raises or the process ends.
    """
    with started_apart(function, *args, **kwargs) as result:
        return result()


@contextlib.contextmanager
def started_apart(
    function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> Iterator[Callable[[], R]]:
    """Start a function in a new process. Yield a function that waits for its result.

    The process is terminated when the block ends.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(sender, function, args, kwargs), daemon=True)
    process.start()
    sender.close()

    def result() -> R:
        try:
            is_good, value = receiver.recv()
        except EOFError:
            process.join()
            raise BenchmarkError(
                f"{function.__name__} ended with exit code {process.exitcode}"
            ) from None
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
    except Exception as error:  # noqa: BLE001 - sent to the parent
        answer = (False, f"{type(error).__name__}: {error}")
    pipe.send(answer)
