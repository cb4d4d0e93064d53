"""Real server for tests: a process on a free port with a temporary data directory."""

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from corvo_client._sync.client import Client
from corvo_client.testing._folders import new_folder
from corvo_schema import Role
from corvo_schema.masks import mask_keys

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 10.0
_MAX_LINES_SHOWN = 50
_KEY = re.compile("corvo_[0-9A-Za-z]+_[0-9A-Za-z]+")


class ServerDied(RuntimeError):
    """The server did not start or has exited. The message contains the end of its log."""


class LocalServer:
    """A corvo-server process. Use it as a context manager, or call `start` and `close`.

    `options` are settings of the server, e.g. `{"max_payload_bytes": 1000}`. The default `data_dir`
    is a temporary directory that `close` removes. With `keys`, the server needs API keys: `api_key`
    is that of an admin, and `new_key` makes others. CORVO_* environment variables are ignored.
    Needs `pip install "corvo-client[testing]"`.
    """

    def __init__(
        self,
        data_dir: str | Path | None = None,
        *,
        port: int = 0,
        options: Mapping[str, object] | None = None,
        keys: bool = False,
    ) -> None:
        self._data_dir = data_dir
        self._port = port
        self._options = dict(options or {})
        if keys:
            self._options["bootstrap_key"] = True
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._has_output = threading.Condition()
        self._reader: threading.Thread | None = None
        self._url: str | None = None
        self._api_key: str | None = None

    @property
    def url(self) -> str:
        """URL of the server. Raises RuntimeError before the start."""
        if self._url is None:
            raise RuntimeError("the server is not started; call start() first")
        return self._url

    @property
    def api_key(self) -> str | None:
        """API key of an admin; None if the server needs no keys, or had keys before its start."""
        return self._api_key

    @property
    def log(self) -> str:
        """Output of the server so far, without keys."""
        return mask_keys("".join(self._lines))

    def new_key(self, *roles: Role | str, queues: Sequence[str] | None = None) -> str:
        """Return a new API key with these roles, for all queues or those of the patterns."""
        with Client(self.url, api_key=self.api_key) as client:
            name = f"test {len(client.list_keys())}"
            return client.create_key(name, roles=roles, queues=queues).key

    def start(self) -> Self:
        """Start the server and wait until it accepts requests. Raises `ServerDied`."""
        if importlib.util.find_spec("corvo_server") is None:
            raise ServerDied(
                'corvo-server is not installed: run pip install "corvo-client[testing]"'
            )
        folder = self._data_dir
        if folder is None:
            self._folder = new_folder()
            folder = self._folder.name
        command = [sys.executable, "-m", "corvo_server", "--bind", f"127.0.0.1:{self._port}"]
        command += ["--data-dir", str(folder), "--log-format", "json"]
        for name, value in self._options.items():
            option = name.replace("_", "-")
            if isinstance(value, bool):
                command.append(f"--{option}" if value else f"--no-{option}")
            else:
                command += [f"--{option}", str(value)]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("CORVO_")
        }
        self._process = subprocess.Popen(  # noqa: S603 - our own server
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        self._url = self._wait_for_url()
        printed = [line.strip() for line in self._lines if _KEY.fullmatch(line.strip())]
        self._api_key = printed[0] if printed else None
        return self

    def close(self) -> None:
        """Stop the server and remove its temporary data. After 10 s, kill the server."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._reader is not None:
            self._reader.join(_STOP_TIMEOUT)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url or 'not started'})"

    def _read(self, process: subprocess.Popen[str]) -> None:
        output = process.stdout
        if output is None:
            return
        with output:
            for line in output:
                with self._has_output:
                    self._lines.append(line)
                    self._has_output.notify_all()
        with self._has_output:
            self._has_output.notify_all()

    def _wait_for_url(self) -> str:
        ends_at = time.monotonic() + _START_TIMEOUT
        with self._has_output:
            while True:
                for line in self._lines:
                    if (url := _url_in(line)) is not None:
                        return url
                if not self._is_reading or time.monotonic() > ends_at:
                    break
                self._has_output.wait(0.1)
        tail = mask_keys("".join(self._lines[-_MAX_LINES_SHOWN:]))
        self.close()
        raise ServerDied(f"the server did not start; the end of its output:\n{tail}")

    @property
    def _is_reading(self) -> bool:
        return self._reader is not None and self._reader.is_alive()


def _url_in(line: str) -> str | None:
    with contextlib.suppress(ValueError):
        entry = json.loads(line)
        if isinstance(entry, dict) and "listening on" in str(entry.get("message")):
            return str(entry["url"])
    return None
