"""Start the installed server in a separate process and call it."""

import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from corvo_bench.children import Child
from corvo_bench.results import BenchmarkError

API = "/api/v1"
DATABASE = "corvo.db"


class Endpoint:
    """A server, for calls that are not measured."""

    def __init__(self, url: str = "") -> None:
        self.url = url

    def ask(self, method: str, path: str, body: object = None, *, prefix: str = API) -> Any:
        """Make a call and return the JSON of its answer, None without a body.

        Raises `BenchmarkError` for a status of 300 or above.
        """
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=120)
        text = None if body is None else json.dumps(body)
        connection.request(method, prefix + path, text, {"content-type": "application/json"})
        reply = connection.getresponse()
        answer = reply.read()
        connection.close()
        if reply.status >= 300:
            raise BenchmarkError(f"{method} {path}: {reply.status} {answer[:300]!r}")
        return json.loads(answer) if answer else None


class Server(Endpoint):
    """A Corvo server on a free port, with its default settings and a log line for each request.

    `start_seconds` is the time from its start to its first answer to a health check.
    """

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self._command = [sys.executable, "-I", "-m", "corvo_server", "--bind", "127.0.0.1:0"]
        self._command += ["--data-dir", str(data_dir), "--log-format", "json", *options]
        super().__init__()
        self.start_seconds = 0.0

    def __enter__(self) -> Self:
        began = time.perf_counter()
        self.child = Child(self._command, env=_environment())
        try:
            line = self.child.wait_for_line(lambda line: "listening on" in line)
            self.url = json.loads(line)["url"]
            self.ask("GET", "/healthz", prefix="")
            self.start_seconds = time.perf_counter() - began
        except BaseException:
            self.child.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and not self.child.is_running:
            raise BenchmarkError(f"the server ended during the load:\n{self.child.tail()}")
        self.child.stop()

    @property
    def file_mb(self) -> float:
        """Size of the database files in MB (10^6 bytes)."""
        return sum(p.stat().st_size for p in self.data_dir.glob(f"{DATABASE}*")) / 1e6


def has_option(name: str) -> bool:
    """Return whether the installed server has an option, such as `--database`."""
    command = [sys.executable, "-I", "-m", "corvo_server", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return name in done.stdout


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CORVO_")}
