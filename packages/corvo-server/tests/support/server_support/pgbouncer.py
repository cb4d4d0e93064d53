"""A PgBouncer for tests, which pools transactions.

It gives each transaction the session that has been idle longest. State that a client leaves in a
session is therefore missing in its next transaction, and appears in those of other clients.
"""

import re
import shutil
import subprocess
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import SplitResult, unquote, urlsplit

from server_support.postgres import USER, execute, free_port
from server_support.process import Process
from server_support.unprivileged_user import NoUnprivilegedUser, as_user, unprivileged_user
from server_support.waiting import wait_blocking

_DEBIAN = "/usr/sbin"  # not on everybody's PATH
_CONFIG = """\
[databases]
* = {database}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_round_robin = 1
default_pool_size = {pool_size}
max_client_conn = 2000
server_login_retry = 0.1
query_wait_timeout = 10
server_idle_timeout = 30
log_connections = 0
log_disconnections = 0
"""


class PgBouncerMissing(Exception):
    """Raised if this machine cannot run PgBouncer. The message says what is missing."""


class _Program(NamedTuple):
    path: str
    version: tuple[int, int]


@cache
def find_pgbouncer() -> _Program:
    """Return the path and the version of PgBouncer."""
    path = shutil.which("pgbouncer") or shutil.which("pgbouncer", path=_DEBIAN)
    if path is None:
        raise PgBouncerMissing(f"no pgbouncer found on PATH, nor in {_DEBIAN}")
    result = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"(\d+)\.(\d+)", result.stdout)
    if found is None:
        raise PgBouncerMissing(f"{path} did not print its version: {result.stdout!r}")
    return _Program(path, (int(found[1]), int(found[2])))


class PgBouncer:
    """A pooler for all databases of one server, with `pool_size` sessions per database."""

    def __init__(self, server_url: str, *, pool_size: int = 6) -> None:
        self._program = find_pgbouncer()
        try:
            self._user = unprivileged_user()
        except NoUnprivilegedUser as missing:
            raise PgBouncerMissing(str(missing)) from missing
        self.version = self._program.version
        self.port = free_port()
        self._server = urlsplit(server_url)
        self._pool_size = pool_size
        self._process: Process | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="corvo-pgbouncer-"))
        if self._user is not None:
            shutil.chown(self.folder, self._user)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Start PgBouncer, and return once it accepts connections."""
        config = self.folder / "pgbouncer.ini"
        config.write_text(
            _CONFIG.format(
                database=_connection_string(self._server),
                port=self.port,
                pool_size=self._pool_size,
            )
        )
        # The kernel sends this signal when the starting thread ends, so only the main one asks.
        is_main = threading.current_thread() is threading.main_thread()
        with_us = ["--pdeathsig", "INT"] if is_main else []
        command = as_user(self._user, [self._program.path, "--quiet", config], with_us)
        self._process = Process(command, cwd=self.folder)
        wait_blocking(self._answers_or_ended, "PgBouncer takes connections")
        return self

    def restart(self) -> None:
        """Kill PgBouncer and start it again."""
        if self._process is not None:
            self._process.kill()
        self.start()

    def close(self) -> None:
        """End PgBouncer, and delete its directory."""
        if self._process is not None and self._process.is_running:
            self._process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, direct_url: str) -> str:
        """Return the URL of the same database through the pooler."""
        parts = urlsplit(direct_url)
        user = parts.username or USER
        return parts._replace(netloc=f"{user}@127.0.0.1:{self.port}").geturl()

    def _answers_or_ended(self) -> bool:
        import psycopg

        if self._process is None or not self._process.is_running:
            output = "" if self._process is None else self._process.output
            raise AssertionError(f"PgBouncer did not start:\n{output}")
        try:
            execute(self.url(self._server.geturl()), "SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _connection_string(server: SplitResult) -> str:
    """Return the connection string of the pooler's sessions, which all belong to one user."""
    values = {
        "host": server.hostname or "127.0.0.1",
        "port": str(server.port or 5432),
        "user": unquote(server.username or USER),
        **({"password": unquote(server.password)} if server.password else {}),
    }
    return " ".join(f"{name}='{value}'" for name, value in values.items())
