"""Measure the cost of a commit with psycopg and with asyncpg on a new PostgreSQL server.

    pip install 'psycopg[binary]' asyncpg
    PYTHONPATH=tests python benchmarks/drivers.py [ROUNDS]

A commit has the statements that the server's writer sends for a group of enqueues: a lock, rows of
two tables, a counter, and COMMIT with its fsync. A set of rows is one JSON text for all drivers.
The drivers take turns. The output has medians over the rounds per commit: elapsed time, and CPU
time of this process.
"""

import asyncio
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg

from server_support.postgres import PostgresServer

SIZES = (1, 20, 200)
COMMITS = 150
SCHEMA = """
CREATE TABLE jobs (seq bigserial PRIMARY KEY, id text, queue text, state smallint, payload text);
CREATE UNIQUE INDEX jobs_id ON jobs (id);
CREATE INDEX jobs_pending ON jobs (queue, seq) WHERE state = 1;
CREATE TABLE events (id bigserial PRIMARY KEY, type text, job_id text, queue text, at bigint);
CREATE TABLE counters (queue text PRIMARY KEY, jobs bigint);
INSERT INTO counters VALUES ('mail', 0)
"""
LOCK = "SELECT pg_advisory_xact_lock_shared({})"
JOBS = """
INSERT INTO jobs (id, queue, state, payload)
SELECT id, queue, state, payload
FROM json_to_recordset({}::json) AS new (id text, queue text, state smallint, payload text)
"""
EVENTS = """
INSERT INTO events (type, job_id, queue, at)
SELECT 'enqueued', id, queue, 0 FROM json_to_recordset({}::json) AS new (id text, queue text)
RETURNING id
"""
COUNTER = "UPDATE counters SET jobs = jobs + {} WHERE queue = 'mail'"


def statements(mark: Callable[[int], str]) -> list[str]:
    """Return the statements of a commit. `mark` formats the placeholder of a parameter."""
    return [text.format(mark(1)) for text in (LOCK, JOBS, EVENTS, COUNTER)]


def values(numbers: range) -> list[Any]:
    """Return the parameters of the statements for the jobs with these numbers."""
    payload = json.dumps({"to": "ada@example.com", "subject": "hello"})
    rows = json.dumps(
        [{"id": f"job_{n:026}", "queue": "mail", "state": 1, "payload": payload} for n in numbers]
    )
    return [7, rows, rows, len(numbers)]


def by_psycopg(*, in_pipeline: bool) -> Callable[[str, list[list[Any]]], float]:
    """Return a run with psycopg: statements in one pipeline, or one at a time."""

    def run(url: str, commits: list[list[Any]]) -> float:
        texts = statements(lambda _: "%s")
        with psycopg.connect(url, autocommit=True, prepare_threshold=0) as connection:
            started = time.perf_counter()
            for given in commits:
                if in_pipeline:
                    with connection.pipeline(), connection.transaction():
                        cursors = [
                            connection.execute(text, (value,))
                            for text, value in zip(texts, given, strict=True)
                        ]
                        cursors[2].fetchall()
                else:
                    with connection.transaction():
                        for text, value in zip(texts, given, strict=True):
                            connection.execute(text, (value,))
            return time.perf_counter() - started

    return run


def by_asyncpg(new_loop: Callable[[], asyncio.AbstractEventLoop] | None) -> Callable[..., float]:
    """Return a run with asyncpg: prepared statements one at a time, as it has no pipeline."""
    asyncpg = importlib.import_module("asyncpg")

    async def go(url: str, commits: list[list[Any]]) -> float:
        connection = await asyncpg.connect(url)
        prepared = [await connection.prepare(text) for text in statements(lambda n: f"${n}")]
        started = time.perf_counter()
        for given in commits:
            async with connection.transaction():
                for statement, value in zip(prepared, given, strict=True):
                    await statement.fetch(value)
        taken = time.perf_counter() - started
        await connection.close()
        return taken

    def run(url: str, commits: list[list[Any]]) -> float:
        main: Coroutine[Any, Any, float] = go(url, commits)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(main)

    return run


def main() -> None:
    """Measure and print a line for each driver and size."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    uvloop = importlib.import_module("uvloop")
    drivers: dict[str, Callable[[str, list[list[Any]]], float]] = {
        "psycopg, pipeline": by_psycopg(in_pipeline=True),
        "psycopg, one at a time": by_psycopg(in_pipeline=False),
        "asyncpg": by_asyncpg(None),
        "asyncpg, uvloop": by_asyncpg(uvloop.new_event_loop),
    }
    taken: dict[tuple[str, int], list[tuple[float, float]]] = {}
    numbers = 0
    with PostgresServer(durable=True) as server:
        server.init().start()
        server.execute(SCHEMA)
        for _ in range(rounds):
            for name, run in drivers.items():
                for size in SIZES:
                    firsts = range(numbers, numbers + COMMITS * size, size)
                    commits = [values(range(first, first + size)) for first in firsts]
                    numbers += COMMITS * size
                    cpu = time.process_time()
                    elapsed = run(server.url(), commits)
                    used = time.process_time() - cpu
                    taken.setdefault((name, size), []).append((elapsed, used))
    for (name, size), pairs in sorted(taken.items(), key=lambda item: item[0][1]):
        elapsed, used = (
            statistics.median(each) / COMMITS * 1e6 for each in zip(*pairs, strict=True)
        )
        print(f"{size:4} rows  {name:22}  {elapsed:7.0f} us elapsed  {used:6.0f} us CPU")


if __name__ == "__main__":
    main()
