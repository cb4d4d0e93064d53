"""Measures a server from outside while it runs: memory, open files, and what its store keeps."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import psutil

from server_support.postgres import execute
from soak.growth import Curve
from support.server import CorvoServer

_INTERVAL = 2.0
_MB = 2**20
_LOG_BOUND = 32.0
"""Size to which the server cuts its log, in MB, twice its usual size."""
_TABLES = ("jobs", "job_failures", "unique_locks", "batches", "events")
"""Tables from which the server deletes what is past its retention."""


class Samples:
    """The curves of one server and its store."""

    def __init__(self, server: CorvoServer, database_url: str | None) -> None:
        """`database_url` is PostgreSQL's; None with SQLite."""
        self._server = server
        self._url = database_url
        self._started = time.monotonic()
        # The allocator gives memory back late, and pages of a table are freed, not returned.
        self.memory = Curve("memory", "MB", most=0.1)
        self.files = Curve("open files", "files", most=0.1, slack=4)
        self.store = Curve("database", "MB", most=0.1, slack=2)
        # Of SQLite: it fills up once, is then written from its start again, and has a bounded size.
        self.log = Curve("write-ahead log", "MB", most=0.1, slack=_LOG_BOUND)
        # They follow the speed of the machine. At the end of a soak all must be deleted.
        self.rows = Curve("rows in the database", "rows", most=float("inf"))

    @property
    def curves(self) -> list[Curve]:
        """All curves that have points."""
        found = [self.memory, self.files, self.store, self.log, self.rows]
        return [curve for curve in found if curve.points]

    @property
    def seconds(self) -> float:
        """Time since the first sample."""
        return time.monotonic() - self._started

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await asyncio.to_thread(self.take)
            await asyncio.sleep(_INTERVAL)

    def take(self) -> None:
        """Measure once. A server that does not run right now is left out."""
        now = self.seconds
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            process = psutil.Process(self._server.pid)
            # Both, or none: a process that has just begun to end has no files any more.
            memory, files = process.memory_info().rss / _MB, process.num_fds()
            self.memory.points.append((now, memory))
            self.files.points.append((now, files))
        self.store.points.append((now, self._stored() / _MB))
        if self._url is None:
            log = self._server.database.with_name(f"{self._server.database.name}-wal")
            # The file is missing between the end of a server and the first write of the next.
            self.log.points.append((now, log.stat().st_size / _MB if log.exists() else 0.0))
        self.rows.points.append((now, sum(self.counts().values())))

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table that the server prunes."""
        counts = ", ".join(f"(SELECT count(*) FROM {self._table(name)})" for name in _TABLES)  # noqa: S608 - our own names
        (found,) = self._select(f"SELECT {counts}")
        return dict(zip(_TABLES, found, strict=True))

    def write(self, path: Path, about: Mapping[str, object]) -> None:
        """Write all points as one JSON document."""
        curves = {curve.name: curve.points for curve in self.curves}
        path.write_text(json.dumps({**about, "curves": curves}) + "\n", encoding="utf-8")

    def _table(self, name: str) -> str:
        return name if self._url is None else f"corvo.{name}"

    def _stored(self) -> int:
        if self._url is not None:
            return int(self._select("SELECT pg_database_size(current_database())")[0][0])
        return self._server.database.stat().st_size

    def _select(self, statement: str) -> list[tuple[int, ...]]:
        if self._url is not None:
            return execute(self._url, statement)
        file = f"{self._server.database.as_uri()}?mode=ro"
        with closing(sqlite3.connect(file, uri=True, timeout=30)) as connection:
            return connection.execute(statement).fetchall()
