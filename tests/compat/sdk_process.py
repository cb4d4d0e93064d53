"""The third-party SDKs, in processes without the packages of this repository."""

import json
import queue
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from server_support.process import Process, clean_environment
from server_support.waiting import PATIENCE

HERE = Path(__file__).parent


class Raised(Exception):
    """An exception of the SDK, by type and text."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class Sdk:
    """A process with the third-party client. Its methods take and return JSON values."""

    def __init__(self, sdks: Path, **options: Any) -> None:
        self._command = command("sdk_driver.py", sdks, options)
        self._start()

    def __getattr__(self, name: str) -> Any:
        return partial(self.call, name)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method and return its result. Raises `Raised` if the method raises."""
        self.begin(name, *args, **kwargs)
        return self.result()

    def begin(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Start the call of a method without waiting for its result."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps([name, args, kwargs]) + "\n")
        self._popen.stdin.flush()

    def result(self) -> Any:
        """Return the result of the started call. After a timeout, start a new process and fail."""
        try:
            answer = json.loads(self._answers.get(timeout=PATIENCE))
        except queue.Empty:
            self.close()
            self._start()
            raise AssertionError(f"no answer within {PATIENCE:g} s") from None
        if "raised" in answer:
            raise Raised(answer["raised"], answer["message"])
        return answer["returned"]

    @property
    def has_answered(self) -> bool:
        """Whether `result` returns without waiting."""
        return not self._answers.empty()

    def close(self) -> None:
        """Kill the process."""
        assert self._popen.stdin is not None
        self._popen.kill()
        self._popen.stdin.close()
        self._popen.wait()
        self._reader.join()

    def _start(self) -> None:
        self._popen = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=clean_environment(),
            text=True,
        )
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as output:
            for line in output:
                self._answers.put(line)


class Worker(Process):
    """A process of `worker_driver`, which runs the third-party worker."""

    def __init__(self, sdks: Path, options: dict[str, Any]) -> None:
        super().__init__(command("worker_driver.py", sdks, options))

    def jobs_that(self, what: str) -> list[str]:
        """Return the jobs that the worker reported as `started`, `finished` or `cancelled`."""
        reports = [json.loads(line) for line in list(self.lines)]
        return [report[what] for report in reports if what in report]

    def starts(self, job_id: str) -> list[dict[str, Any]]:
        """Return the arguments of the handler at each start of a job."""
        reports = [json.loads(line) for line in list(self.lines)]
        return [report for report in reports if report.get("started") == job_id]


class MakeSdk(Protocol):
    """The type of the fixture `make_sdk`. Keyword arguments are options of the client."""

    def __call__(self, **options: Any) -> Sdk: ...


class StartWorker(Protocol):
    """The type of the fixture `start_worker`."""

    def __call__(
        self,
        *queues: str,
        handled: list[str] | None = None,
        client: dict[str, Any] | None = None,
        **config: Any,
    ) -> Worker: ...


def command(driver: str, sdks: Path, options: dict[str, Any]) -> list[str | Path]:
    """Return the command line of a driver. -I and -S hide all installed packages from it."""
    return [sys.executable, "-I", "-S", HERE / driver, sdks, json.dumps(options)]
