"""Starts PostgreSQL servers for tests, from the binaries of this machine.

A server has a temporary directory, listens on a free port of the loopback interface and on a socket
in that directory, accepts every user without a password, and ends with the process that started it.
"""

import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

from server_support.process import Process, clean_environment
from server_support.unprivileged_user import NoUnprivilegedUser, as_user, unprivileged_user
from server_support.waiting import PATIENCE, wait_blocking

USER = "corvo"
_PROGRAMS = ("initdb", "postgres", "pg_basebackup")
_DEBIAN = Path("/usr/lib/postgresql")

_FOR_SPEED = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "checkpoint_timeout": "1h",
    "max_wal_size": "2GB",
}
_FOR_ALL = {"max_connections": "300", "shared_buffers": "64MB", "log_min_messages": "warning"}

STOPS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
"""The modes of `pg_ctl stop`, with the signal of each."""


class PostgresMissing(Exception):
    """PostgreSQL cannot run on this machine. The message says what is missing."""


@cache
def find_binaries() -> Path:
    """Return the directory of the programs of the newest installed PostgreSQL.

    Debian installs each version into its own directory, which is not on PATH.
    """
    places = sorted(_DEBIAN.glob("*/bin"), key=lambda place: _number(place.parent.name))[::-1]
    config = shutil.which("pg_config")
    if config is not None:
        asked = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        places.append(Path(asked.stdout.strip()))
    found = shutil.which("postgres")
    if found is not None:
        places.append(Path(found).resolve().parent)
    for place in places:
        if all((place / name).is_file() for name in _PROGRAMS):
            return place
    looked = ", ".join(map(str, dict.fromkeys(places))) or f"{_DEBIAN} and PATH"
    raise PostgresMissing(f"no PostgreSQL server ({', '.join(_PROGRAMS)}) found in {looked}")


def free_port() -> int:
    """Return a port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PostgresServer:
    """One PostgreSQL server. It keeps its port over restarts.

    With `durable`, commits survive a crash of the machine; without, only a crash of the server.
    `settings` are those of `postgresql.conf`.
    """

    def __init__(
        self, *, durable: bool = False, settings: Mapping[str, str] | None = None, host: str = ""
    ) -> None:
        self.binaries = find_binaries()
        self.host = host or "127.0.0.1"
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="corvo-pg-"))
        self.data = self.folder / "data"
        self._settings = {**_FOR_ALL, **({} if durable else _FOR_SPEED), **(settings or {})}
        self.env: Mapping[str, str] = {}
        """Environment variables of the next start, on top of the test's own."""
        self._process: Process | None = None
        try:
            self._user = unprivileged_user()
        except NoUnprivilegedUser as missing:
            raise PostgresMissing(str(missing)) from missing
        if self._user is not None:
            shutil.chown(self.folder, self._user)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return self._running.pid

    @property
    def log(self) -> str:
        """The output of the server since its last start."""
        return self._running.output

    def url(self, database: str = "postgres", *others: "PostgresServer") -> str:
        """Return the URL of a database; with `others`, of whichever server accepts writes."""
        servers = (self, *others)
        places = ",".join(f"{server.host}:{server.port}" for server in servers)
        where = f"postgresql://{USER}@{places}/{database}"
        return f"{where}?target_session_attrs=read-write" if others else where

    def init(self) -> Self:
        """Create the database cluster with initdb."""
        self._run(
            ["initdb", "-D", self.data, "-U", USER, "--auth=trust", "--encoding=UTF8"],
            ["--locale=C", "--no-sync"],
        )
        with (self.data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
            rules.write("host all,replication all samenet trust\n")
        return self

    def start(self) -> Self:
        """Start, and return once it accepts connections."""
        settings = {
            **self._settings,
            "port": str(self.port),
            "listen_addresses": self.host,
            "unix_socket_directories": str(self.folder),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # The kernel sends this signal when the starting thread ends, so only the main one asks.
        is_main = threading.current_thread() is threading.main_thread()
        with_us = ["--pdeathsig", "INT"] if is_main else []
        command: list[str | Path] = [self.binaries / "postgres", "-D", self.data, *options]
        if self.env:  # only for the server, not for the program that changes the user
            command = ["env", *(f"{name}={value}" for name, value in self.env.items()), *command]
        self._process = Process(as_user(self._user, command, with_us), cwd=self.folder)
        wait_blocking(self._answers_or_ended, "PostgreSQL takes connections")
        return self

    def stop(self, how: str = "fast") -> None:
        """Stop like `pg_ctl stop --mode`, and return when it has ended."""
        self.signal(STOPS[how])
        self._running.wait()

    def kill(self) -> None:
        """Send SIGKILL to the postmaster, and return when its last process has ended."""
        self._running.kill()
        wait_blocking(lambda: not self._has_processes(), "the last process of PostgreSQL ends")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the postmaster."""
        self._running.signal(number)

    def restart(self) -> None:
        """Start again after any kind of end."""
        self.start()

    def close(self) -> None:
        """End it in any state, and remove its directory."""
        if self._process is not None and self._process.is_running:
            self._process.signal(signal.SIGCONT)
            self._process.signal(STOPS["immediate"])
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(
        self, statement: str, *values: Any, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Run one statement in a connection of its own, outside of a transaction."""
        return execute(self.url(database), statement, *values)

    def make_standby(self, name: str, *, settings: Mapping[str, str] | None = None) -> Self:
        """Return a standby of this server, not started yet, with the replication slot `name`."""
        standby = type(self)(durable=True, settings={**self._settings, **(settings or {})})
        source = f"host={self.host} port={self.port} user={USER} application_name={name}"
        self._run(
            ["pg_basebackup", "-D", standby.data, "-d", source, "--checkpoint=fast"],
            ["--write-recovery-conf", "--create-slot", "--slot", name, "--no-sync"],
            folder=standby.folder,
        )
        return standby

    def promote(self) -> None:
        """Promote a standby to primary, and return once it accepts writes."""
        self.execute("SELECT pg_promote()")
        wait_blocking(
            lambda: self.execute("SELECT pg_is_in_recovery()") == [(False,)],
            "the standby is promoted",
        )

    @property
    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("PostgreSQL was not started")
        return self._process

    def _run(self, *parts: Sequence[str | Path], folder: Path | None = None) -> None:
        (program, *arguments) = [part for group in parts for part in group]
        command = as_user(self._user, [self.binaries / program, *arguments])
        done = subprocess.run(
            command,
            cwd=folder or self.folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE * 3,
        )
        if done.returncode:
            raise PostgresMissing(f"{program} failed: {done.stderr.strip()}")

    def _answers_or_ended(self) -> bool:
        import psycopg

        if not self._running.is_running:
            raise AssertionError(f"PostgreSQL did not start:\n{self.log}")
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _has_processes(self) -> bool:
        """Return whether any process has the data directory as its working directory."""
        where = str(self.data)
        for entry in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if str(entry.readlink()) == where:
                    return True
            except OSError:
                continue
        return False


def execute(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement in a connection of its own, outside of a transaction."""
    import psycopg

    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def _number(version: str) -> float:
    found = re.match(r"\d+(\.\d+)?", version)
    return float(found[0]) if found else 0.0
