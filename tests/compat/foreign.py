"""The SDKs that others wrote, in processes that have nothing of ours."""

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
    """The SDK raised; its own exception's type and text."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class Sdk:
    """Their client: every method of it is one here, which takes and gives what JSON can say."""

    def __init__(self, sdks: Path, **options: Any) -> None:
        self._command = command("sdk_driver.py", sdks, options)
        self._start()

    def __getattr__(self, name: str) -> Any:
        return partial(self.call, name)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method; what it returns. Raises `Raised` when it raises."""
        self.begin(name, *args, **kwargs)
        return self.result()

    def begin(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Call a method, and let it go on meanwhile."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps([name, args, kwargs]) + "\n")
        self._popen.stdin.flush()

    def result(self) -> Any:
        """What the call that was begun returns. One that does not return leaves a new client."""
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
        """Whether `result` would not have to wait."""
        return not self._answers.empty()

    def close(self) -> None:
        """End it."""
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
    """Their worker. Its handlers do what the payloads of its jobs say; see `worker_driver`."""

    def __init__(self, sdks: Path, options: dict[str, Any]) -> None:
        super().__init__(command("worker_driver.py", sdks, options))

    def told(self, what: str) -> list[str]:
        """The jobs of which it told that they `started`, `finished` or were `cancelled`."""
        return [told[what] for line in list(self.lines) if what in (told := json.loads(line))]

    def starts(self, job_id: str) -> list[dict[str, Any]]:
        """What the handler was given at each start of a job."""
        told = [json.loads(line) for line in list(self.lines)]
        return [start for start in told if start.get("started") == job_id]


class MakeSdk(Protocol):
    """Starts a process with their client; keyword arguments are its options."""

    def __call__(self, **options: Any) -> Sdk: ...


class StartWorker(Protocol):
    """Starts their worker on some queues; see the fixture `start_worker`."""

    def __call__(
        self,
        *queues: str,
        handled: list[str] | None = None,
        client: dict[str, Any] | None = None,
        **config: Any,
    ) -> Worker: ...


def command(driver: str, sdks: Path, options: dict[str, Any]) -> list[str | Path]:
    """The command line of a driver. -I and -S: of this Python, it has the standard library only."""
    return [sys.executable, "-I", "-S", HERE / driver, sdks, json.dumps(options)]
