"""A real `corvo-server` process on a free port, with a data directory of its own."""

import json
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

from server_support.process import Process, python
from server_support.waiting import PATIENCE

DATABASE = "corvo.db"

LogLine = dict[str, Any]


def server_command(
    data_dir: Path, bind: str, options: Mapping[str, str | int] | None = None
) -> list[str | Path]:
    """The command line; the option `max_backlog` becomes `--max-backlog`."""
    command = python("-m", "corvo_server", "--bind", bind, "--data-dir", data_dir)
    for name, value in (options or {}).items():
        option = name.replace("_", "-")
        if value is False:
            command.append(f"--no-{option}")
        else:
            command += [f"--{option}", *([] if value is True else [str(value)])]
    return command


class CorvoServer:
    """A server that can be stopped, killed and started again on the same data.

    It logs JSON, which `log` has parsed, of all its lives. `url` is known from the first start on.
    """

    def __init__(
        self,
        data_dir: Path,
        options: Mapping[str, str | int] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        prefix: Sequence[str] = (),
    ) -> None:
        """`prefix` stands before the command; another `env` is that of the next life."""
        self.data_dir = data_dir
        self._host = host
        self._prefix = prefix
        self.port = 0
        self.url = ""
        self.env = env
        self._options = {"log_format": "json", **(options or {})}
        self._process: Process | None = None
        self._ended: list[Process] = []
        self._placeholder: socket.socket | None = None

    @property
    def process(self) -> Process:
        """The process that runs, or ran last."""
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid

    @property
    def database(self) -> Path:
        """The file with all its data."""
        return self.data_dir / DATABASE

    @property
    def lines(self) -> list[str]:
        """Everything it has written."""
        return [line for process in (*self._ended, self.process) for line in process.lines]

    @property
    def log(self) -> list[LogLine]:
        """Everything it has logged, one dict a line; a line that is no JSON is an error."""
        return [_parsed(line) for line in self.lines]

    def errors(self, since: int = 0) -> list[LogLine]:
        """What nobody should find in the log, from the line of that number on."""
        log = [_parsed(line) for line in self.lines[since:]]
        return [line for line in log if line["level"] == "error" or "traceback" in line]

    def messages(self) -> list[str]:
        """What it has logged about itself, without the lines of requests."""
        return [line["message"] for line in self.log if line["logger"] != "corvo_server.request"]

    def start(self, port: int = 0) -> Self:
        """Start, and return once requests are taken. Port 0 is a free one."""
        if self._process is not None:
            self._ended.append(self._process)
        command = [
            *self._prefix,
            *server_command(self.data_dir, f"{self._host}:{port}", self._options),
        ]
        self._process = Process(command, env=self.env)
        line = self._process.wait_for_line(
            lambda line: "listening on" in line, "the server listens"
        )
        self.url = _parsed(line)["url"]
        self.port = int(self.url.rpartition(":")[2])
        return self

    def stop(self, within: float = PATIENCE) -> int:
        """SIGTERM; returns the exit code."""
        code = self.process.stop(within)
        self._hold_port()
        return code

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self._hold_port()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.signal(number)

    def restart(self, *, on_new_port: bool = False) -> None:
        """Start again on the same data, where clients will find it, after a stop or a kill."""
        self.start(0 if on_new_port else self.port)

    def close(self) -> None:
        """End it in whatever state it is."""
        if self._process is not None:
            self._process.close()
        if self._placeholder is not None:
            self._placeholder.close()

    def _hold_port(self) -> None:
        """Keep others from being given the port, while connections to it are refused.

        Both we and the server reuse addresses, and only it listens: so it can take the port again.
        """
        if self._placeholder is None:
            self._placeholder = socket.socket()
            self._placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._placeholder.bind(("127.0.0.1", self.port))


class StartServer(Protocol):
    """A factory of servers; see the fixtures `make_server` and `start_server`."""

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
    """Yields what makes servers, each in a directory of its own, on top of `new_options`.

    In the end they are closed, and the logs of those that were not to have errors have none.
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
