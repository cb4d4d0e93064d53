"""Starts the server under test in a process of its own."""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_server(*options: str, data_dir: Path | None = None) -> Iterator[str]:
    """A server on a free port; yields its URL. Without `data_dir`, its file is temporary."""
    with tempfile.TemporaryDirectory(prefix="corvo-benchmark-") as temporary:
        command = [sys.executable, "-m", "corvo_server", "--bind", "127.0.0.1:0", *options]
        command += ["--data-dir", str(data_dir or temporary), "--log-format", "json"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:  # noqa: S603
            try:
                url = _url_of(server)
                # Read on, or the server stands still as soon as the pipe is full of its log.
                threading.Thread(target=_drain, args=(server,), daemon=True).start()
                yield url
            finally:
                server.terminate()
                server.wait()


def _url_of(server: "subprocess.Popen[str]") -> str:
    for line in server.stderr or ():
        entry = json.loads(line) if line.startswith("{") else {}
        if "url" in entry:
            return str(entry["url"])
    raise SystemExit("the server did not start")


def _drain(server: "subprocess.Popen[str]") -> None:
    for _ in server.stderr or ():
        pass
