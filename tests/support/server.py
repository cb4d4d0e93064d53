"""A `corvo-server` process on a free port, with its own data directory."""

import json
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

from server_support.process import Process, python
from server_support.waiting import PATIENCE
from support.leaks import first_key_options

DATABASE = "corvo.db"

LogLine = dict[str, Any]


_PROGRAM = ("-m", "corvo_server")


def server_command(
    data_dir: Path,
    bind: str,
    options: Mapping[str, str | int] | None = None,
    program: Sequence[str | Path] = _PROGRAM,
) -> list[str | Path]:
    """Return the command line. The option `max_backlog` becomes `--max-backlog`."""
    command = python(*program, "--bind", bind, "--data-dir", data_dir)
    for name, value in (options or {}).items():
        option = name.replace("_", "-")
        if value is False:
            command.append(f"--no-{option}")
        else:
            command += [f"--{option}", *([] if value is True else [str(value)])]
    return command


class CorvoServer:
    """A server that a test can stop, kill and start again on the same data.

    `log` has the parsed JSON log of all its processes. `url` is set by the first start.
    """

    def __init__(
        self,
        data_dir: Path,
        options: Mapping[str, str | int] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        prefix: Sequence[str] = (),
        program: Sequence[str | Path] = _PROGRAM,
    ) -> None:
        """Prepend `prefix` to the command, which runs `program` with Python.

        A new value of `env` applies at the next start.
        """
        self.data_dir = data_dir
        self._host = host
        self._prefix = prefix
        self._program = program
        self.port = 0
        self.url = ""
        self.env = env
        self.options = {"log_format": "json", **first_key_options(), **(options or {})}
        self._process: Process | None = None
        self._ended: list[Process] = []
        self._placeholder: socket.socket | None = None

    @property
    def process(self) -> Process:
        """The running process, or the last one."""
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def database(self) -> Path:
        """The path of the SQLite file."""
        return self.data_dir / DATABASE

    @property
    def lines(self) -> list[str]:
        """The output of all processes, by line."""
        return [line for process in (*self._ended, self.process) for line in process.lines]

    @property
    def log(self) -> list[LogLine]:
        """The parsed log of all processes. A line that is not JSON becomes an error entry."""
        return [_parsed(line) for line in self.lines]

    def errors(self, since: int = 0) -> list[LogLine]:
        """Return the errors and tracebacks in the log, from line number `since` on."""
        log = [_parsed(line) for line in self.lines[since:]]
        return [line for line in log if line["level"] == "error" or "traceback" in line]

    def messages(self) -> list[str]:
        """Return the log messages without those of requests."""
        return [line["message"] for line in self.log if line["logger"] != "corvo_server.request"]

    def start(self, port: int = 0) -> Self:
        """Start a process. Return when it listens. Port 0 selects a free port."""
        if self._process is not None:
            self._ended.append(self._process)
        command = [
            *self._prefix,
            *server_command(self.data_dir, f"{self._host}:{port}", self.options, self._program),
        ]
        self._process = Process(command, env=self.env)
        line = self._process.wait_for_line(
            lambda line: "listening on" in line, "the server listens"
        )
        self.url = _parsed(line)["url"]
        self.port = int(self.url.rpartition(":")[2])
        return self

    def stop(self, within: float = PATIENCE) -> int:
        """Stop the process with SIGTERM. Return the exit code."""
        code = self.process.stop(within)
        self._hold_port()
        return code

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.process.kill()
        self._hold_port()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.signal(number)

    def restart(self, *, on_new_port: bool = False) -> None:
        """Start again on the same data and port, after a stop or a kill."""
        self.start(0 if on_new_port else self.port)

    def close(self) -> None:
        """End the process if it runs, and release the port."""
        if self._process is not None:
            self._process.close()
        if self._placeholder is not None:
            self._placeholder.close()

    def _hold_port(self) -> None:
        """Reserve the port while no process runs. Connections to the port are refused.

        SO_REUSEADDR on both sockets lets the server listen on the port again.
        """
        if self._placeholder is None:
            self._placeholder = socket.socket()
            self._placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._placeholder.bind(("127.0.0.1", self.port))


class StartServer(Protocol):
    """The type of the fixtures `make_server` and `start_server`."""

    def __call__(self, *, expects_errors: bool = False, **options: str | int) -> CorvoServer: ...


def _parsed(line: str) -> LogLine:
    try:
        parsed = json.loads(line)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        return {"level": "error", "logger": "", "message": line.rstrip("\n")}
    return parsed


@contextmanager
def servers_in(
    folder: Path, new_options: Callable[[], Mapping[str, str | int]] = dict
) -> Iterator[StartServer]:
    """Yield a factory of servers. Each has its own directory, and `new_options` as defaults.

    On exit, close the servers and assert that their logs have no errors, except for servers that
    were created with `expects_errors`.
    """
    servers: list[CorvoServer] = []
    watched: list[CorvoServer] = []

    def make(*, expects_errors: bool = False, **options: str | int) -> CorvoServer:
        server = CorvoServer(folder / f"data-{len(servers)}", {**new_options(), **options})
        servers.append(server)
        if not expects_errors:
            watched.append(server)
        return server

    yield make
    for server in servers:
        server.close()
    for server in watched:
        assert not server.errors()
