"""Start the backends of the systems. Each answers a write after an fsync."""

import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Self

from corvo_bench.children import Child
from corvo_bench.results import BenchmarkError, NotRun
from corvo_bench.server import Server, has_option
from server_support.postgres import PostgresMissing, PostgresServer

_REDIS = {"appendonly": "yes", "appendfsync": "always", "save": "", "bind": "127.0.0.1"}
_POSTGRES = {"synchronous_commit": "on", "fsync": "on", "shared_buffers": "256MB"}


class Backends:
    """Starts backends with their data in `directory`.

    PostgreSQL is started once; each system gets its own database. Starting a backend raises
    `NotRun` if this machine does not have it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = ExitStack()
        self._postgres: PostgresServer | None = None
        self._databases = 0
        self.versions: dict[str, str] = {}
        """Versions of the backends that were started, by name."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, name: str) -> AbstractContextManager[str]:
        """Start an empty backend. Yield its URL; for SQLite, the path of its file.

        Raises ValueError for an unknown name.
        """
        kinds: dict[str, Callable[[], AbstractContextManager[str]]] = {
            "beanstalkd": self._beanstalkd,
            "redis": self._redis,
            "sqlite": self._sqlite,
            "postgres": self._database,
            "corvo": self._corvo,
        }
        if name in kinds:
            return kinds[name]()
        kind, _, nodes = name.partition(":")
        if kind != "corvo-postgres":
            raise ValueError(f"unknown backend: {name}")
        return self._corvo_nodes(int(nodes))

    @contextmanager
    def _directory_of(self, name: str) -> Iterator[Path]:
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._directory))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _redis(self) -> Iterator[str]:
        program = shutil.which("redis-server")
        if program is None:
            raise NotRun("redis-server is not installed")
        port = _free_port()
        with self._directory_of("redis") as path:
            options = [part for name, value in _REDIS.items() for part in (f"--{name}", value)]
            command = [program, "--port", str(port), "--dir", str(path), *options]
            with Child(command) as child:
                child.wait_for_line(lambda line: "Ready to accept connections" in line)
                self.versions["redis"] = _version_of(program)
                yield f"redis://127.0.0.1:{port}/0"

    @contextmanager
    def _beanstalkd(self) -> Iterator[str]:
        program = shutil.which("beanstalkd")
        if program is None:
            raise NotRun("beanstalkd is not installed")
        port = _free_port()
        with self._directory_of("beanstalkd") as path:
            # `-b` enables the log; `-f 0` makes beanstalkd fsync each write before its answer.
            options = ("-l", "127.0.0.1", "-p", str(port), "-b", path, "-f", "0", "-V")
            with Child([program, *options]) as child:
                child.wait_for_line(lambda line: line.startswith("bind "))
                self.versions["beanstalkd"] = _version_of(program, "-v")
                yield f"beanstalk://127.0.0.1:{port}"

    @contextmanager
    def _sqlite(self) -> Iterator[str]:
        with self._directory_of("sqlite") as path:
            yield str(path / "queue.db")

    @contextmanager
    def _corvo(self) -> Iterator[str]:
        with self._directory_of("corvo") as path, Server(path) as server:
            yield server.url

    @contextmanager
    def _corvo_nodes(self, nodes: int) -> Iterator[str]:
        """Start `nodes` servers on one database. Yield their URLs, separated by commas."""
        if not has_option("--database"):
            raise NotRun("this server has no option --database")
        with ExitStack() as stack:
            url = stack.enter_context(self._database())
            servers = []
            for _ in range(nodes):
                path = stack.enter_context(self._directory_of("node"))
                try:
                    server = stack.enter_context(Server(path, "--database", url))
                except BenchmarkError as error:
                    raise NotRun(f"a node did not start: {error}") from None
                servers.append(server)
            yield ",".join(server.url for server in servers)

    @contextmanager
    def _database(self) -> Iterator[str]:
        if self._postgres is None:
            try:
                server = PostgresServer(durable=True, settings=_POSTGRES)
                self._stack.callback(server.close)
                self._postgres = server.init().start()
                self.versions["postgresql"] = _version_of(server.binaries / "postgres")
            except PostgresMissing as missing:
                raise NotRun(str(missing)) from None
        self._databases += 1
        name = f"bench_{self._databases}"
        server_options = ["-h", self._postgres.host, "-p", str(self._postgres.port), "-U", "corvo"]
        programs = self._postgres.binaries
        subprocess.run([programs / "createdb", *server_options, name], check=True)  # noqa: S603
        try:
            yield self._postgres.url(name)
        finally:
            subprocess.run([programs / "dropdb", "--force", *server_options, name], check=True)  # noqa: S603


def _version_of(program: str | Path, option: str = "--version") -> str:
    """Return the first number with dots in the output of a program."""
    done = subprocess.run([program, option], capture_output=True, text=True, check=True)  # noqa: S603
    found = re.search(r"\d+(\.\d+)+", done.stdout)
    return found[0] if found else done.stdout.strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
