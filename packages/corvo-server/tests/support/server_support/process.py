"""Runs child processes and reads their output as it arrives."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from server_support.waiting import PATIENCE, wait_blocking

_OURS = "CORVO_"
_KEY = "CORVO_API_KEY"
_OF_A_TERMINAL = ("COLUMNS", "LINES")
"""Programs prefer these variables over the size of their terminal."""
_SIGTERM_IS_CAUGHT = 1 << (signal.SIGTERM - 1)


STARTED: "list[Process]" = []
"""All processes of this test run, whose output must not show a key."""


def are_keys_used() -> bool:
    """Return whether servers of tests need API keys, and CORVO_API_KEY has one: CORVO_TEST_KEYS."""
    return os.environ.get("CORVO_TEST_KEYS") == "1"


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without settings of Corvo and of the terminal, plus `more`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if (not name.startswith(_OURS) or (name == _KEY and are_keys_used()))
        and name not in _OF_A_TERMINAL
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **(more or {})}


class Process:
    """One child process. `lines` collects its stdout and stderr together."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment(env),
            cwd=cwd,
            text=True,
            encoding="utf-8",
        )
        self.pid = self._popen.pid
        STARTED.append(self)
        self.lines: list[str] = []
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._popen.poll() is None

    @property
    def output(self) -> str:
        """Everything that it has written so far."""
        return "".join(self.lines)

    def wait(self, within: float = PATIENCE) -> int:
        """Wait for its end and return the exit code. All its output is then in `lines`."""
        code = self._popen.wait(within)
        self._reader.join(within)
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._popen.send_signal(number)

    def stop(self, within: float = PATIENCE) -> int:
        """Send SIGTERM and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(within)

    def kill(self) -> None:
        """Send SIGKILL and wait for its end."""
        self._popen.kill()
        self.wait()

    def wait_for_line(
        self, matches: Callable[[str], bool], what: str, within: float = PATIENCE
    ) -> str:
        """Return the first output line that matches. Fail if the process ends without one."""
        ends_at = time.monotonic() + within
        seen = 0
        with self._grown:
            while True:
                for line in self.lines[seen:]:
                    if matches(line):
                        return line
                seen = len(self.lines)
                left = ends_at - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    raise AssertionError(f"{what}: not among the output:\n{self.output}")
                self._grown.wait(min(left, 0.1))

    def wait_for_signal_handler(self) -> None:
        """Return once it has a handler for SIGTERM."""
        wait_blocking(self._handles_sigterm, "a handler of SIGTERM")

    def wait_for_no_signal_handler(self) -> None:
        """Return once it has no handler for SIGTERM."""
        wait_blocking(lambda: not self._handles_sigterm(), "no handler of SIGTERM")

    def close(self) -> None:
        """Kill it if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.kill()
        self.wait()

    def _handles_sigterm(self) -> bool:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        (mask,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
        return bool(int(mask, 16) & _SIGTERM_IS_CAUGHT)

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as output:
            for line in output:
                with self._grown:
                    self.lines.append(line)
                    self._grown.notify_all()


def python(*arguments: str | Path) -> list[str | Path]:
    """Return a command line that starts this Python."""
    return [sys.executable, *arguments]
