"""Runs `corvo-server` and kills it at a chosen point of a chosen commit, then runs it again.

    python -m support.faults.crashing_server FOLDER python -m corvo_server OPTION…

Each life of the server is a process of its own, a fork of this one, which has imported everything
before. A life that ends otherwise than by SIGKILL ends the program. FOLDER steers it: see
`crash_points.py`.
"""

import asyncio
import os
import select
import signal
import socket
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from corvo_server import app as composition
from corvo_server.cli import server
from corvo_server.engine.bulk import Bulk
from corvo_server.engine.maintenance import Maintenance
from corvo_server.engine.schedules import Schedules
from corvo_server.http.connection import Connection
from corvo_server.http.openapi import describe
from corvo_server.store.commit.session import Group
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.sqlite.session import SqliteSession
from server_support.waiting import wait_blocking
from support.faults.crash_points import Crash, Point

_PATIENCE = 30.0
"""Seconds to wait for the answer of the database."""
_PAUSE = 0.02
"""Seconds between two looks of a service that is held."""
_SERVICES = (
    *((Maintenance, name) for name in ("promote", "reclaim", "expire", "prune")),
    (Schedules, "run_due"),
    (Bulk, "step"),
)
"""The methods by which the services of the leader do their work."""
_OTHER_SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


def _replace(owner: object, name: str, replacement: object) -> None:
    """Replace a method or function of the server in this process."""
    setattr(owner, name, replacement)


class _WatchedConnection:
    """A connection to SQLite whose COMMIT has crash points."""

    def __init__(self, connection: sqlite3.Connection, crash: Crash) -> None:
        self._connection = connection
        self._crash = crash

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement != "COMMIT":
            return self._connection.execute(statement, *values)
        self._crash.at(Point.WRITTEN)
        done = None if self._crash.is_lossy else self._connection.execute(statement)
        self._crash.at(Point.COMMITTED)
        self._crash.end()
        return done


def _watch_sqlite(crash: Crash) -> None:
    begin = SqliteSession.begin

    def watched_begin(session: Any, groups: list[Group]) -> Transaction:
        if not isinstance(session._connection, _WatchedConnection):
            session._connection = _WatchedConnection(session._connection, crash)
        crash.begin(groups)
        transaction: Transaction = begin(session, groups)
        crash.at(Point.BEGUN)
        return transaction

    _replace(SqliteSession, "begin", watched_begin)


def _watch_postgres(crash: Crash) -> None:
    from corvo_server.store.postgres.pipeline import Pipeline
    from corvo_server.store.postgres.session import PostgresSession

    begin, end = PostgresSession.begin, PostgresSession._end

    def watched_begin(session: PostgresSession, groups: list[Group]) -> Transaction:
        crash.begin(groups)
        transaction = begin(session, groups)
        crash.at(Point.BEGUN)
        return transaction

    def watched_end(session: PostgresSession, pipeline: Pipeline, *more: Any) -> bool:
        if crash.is_due(Point.WRITTEN):
            pipeline.sync()  # the database has carried out all statements
            crash.happen()
        if crash.is_due(Point.SENT):
            _replace(pipeline, "close", partial(_die_with_answer, pipeline, crash))
        has_results = True if crash.is_lossy else end(session, pipeline, *more)
        crash.at(Point.COMMITTED)
        crash.end()
        return has_results

    _replace(PostgresSession, "begin", watched_begin)
    _replace(PostgresSession, "_end", watched_end)


def _die_with_answer(pipeline: Any, crash: Crash) -> None:
    """Send what the pipeline has. End the process when the answer has come, without reading it."""
    connection = pipeline.connection.pgconn
    connection.pipeline_sync()
    while connection.flush():
        select.select([], [connection.socket], [], _PATIENCE)
    select.select([connection.socket], [], [], _PATIENCE)
    crash.happen()


def _watch_replies(crash: Crash) -> None:
    send = Connection.send

    async def watched_send(connection: Connection, data: bytes) -> None:
        crash.at(Point.REPLYING)
        await send(connection, data)

    _replace(Connection, "send", watched_send)


def _hold_services(crash: Crash) -> None:
    for part, name in _SERVICES:
        _replace(part, name, _held(crash, getattr(part, name)))


def _held(crash: Crash, work: Callable[[Any], Awaitable[int]]) -> Callable[[Any], Awaitable[int]]:
    async def work_unless_held(part: Any) -> int:
        if not crash.is_held:
            return await work(part)
        await asyncio.sleep(_PAUSE)
        if isinstance(part, Bulk):
            part.work.set()  # look again
        return 0

    return work_unless_held


def _bury(url: str) -> None:
    """Wait until the database has ended the sessions of the killed process. End its leader lease.

    Fetches skip jobs that a session still locks. The lease would end after some seconds.
    """
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        wait_blocking(
            lambda: connection.execute(_OTHER_SESSIONS).fetchone() == (0,),
            "the database has ended the sessions of the killed process",
        )
        if connection.execute("SELECT to_regclass('corvo.lead')").fetchone() != (None,):
            connection.execute("DELETE FROM corvo.lead")


def main(folder: Path, options: list[str]) -> None:
    """Run lives of the server until one ends by itself. SIGTERM stops the running one."""
    crash = Crash(folder)
    _watch_sqlite(crash)
    _watch_replies(crash)
    _hold_services(crash)
    description = describe(composition.RESOURCES)  # takes longer than the rest of a start
    _replace(composition, "describe", lambda _: description)
    url = options[options.index("--database") + 1] if "--database" in options else None
    if url is not None:
        import corvo_server.store.postgres.store  # noqa: F401 - before the fork

        _watch_postgres(crash)
    with socket.socket() as place:  # keeps the port between two lives
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        options[options.index("--bind") + 1] = f"127.0.0.1:{place.getsockname()[1]}"
        while (code := _live(options, url)) == -signal.SIGKILL:
            continue
    sys.exit(code)


def _live(options: list[str], url: str | None) -> int:
    """Run the server in a new process. Return its exit code, or the negative number of a signal."""
    if url is not None:
        _bury(url)
    life = os.fork()
    if not life:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        server(options, prog_name="corvo-server")

    def stop(number: int, _: FrameType | None) -> None:
        os.kill(life, number)

    signal.signal(signal.SIGTERM, stop)
    _, status = os.waitpid(life, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[5:])
