"""Fill a data directory with the jobs of a server that has run for a week.

python -m corvo_bench.seed DATA_DIR --jobs 1000000

The jobs are in 20 queues of very different sizes and in all states. They have tags with few and
with many values, failures, unique keys and events; counters and unique locks match them. For one
day, no job becomes due, no lease expires and nothing is pruned. The same `--random` gives the same
jobs.
"""

import argparse
import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from corvo_schema import IdFactory
from corvo_schema.states import JobState
from corvo_server.store.rows.codes import STATE_CODES, STATES
from corvo_server.store.sqlite.database import DATABASE_NAME, lock_data_dir, open_writer

QUEUES = 20
CUSTOMERS = 10_000
REGIONS = ("eu", "us", "ap", "sa", "af")

_SECOND = 1000
_DAY = 86_400_000
_SHARES = {
    JobState.COMPLETED: 93.0,
    JobState.PENDING: 4.4,
    JobState.DEAD: 1.0,
    JobState.CANCELLED: 1.0,
    JobState.SCHEDULED: 0.39,
    JobState.RETRYING: 0.2,
    JobState.ACTIVE: 0.01,
}
_INSERT_JOB = """
INSERT INTO jobs (
    seq, id, queue, state, priority, attempt, max_retries, backoff, base_delay, max_delay,
    unique_key, unique_period, worker_id, hostname, lease_token, lease_ms, lease_expires_at,
    scheduled_at, created_at, started_at, finished_at, failed_at, payload, tags, result
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

_DERIVED = """
UPDATE jobs SET due_at = scheduled_at WHERE state IN (0, 3);

INSERT INTO job_tags
SELECT jobs.seq >> 12, t.key, t.value, jobs.seq
FROM jobs, json_each(jobs.tags) AS t WHERE jobs.tags IS NOT NULL ORDER BY 1, 2, 3, 4;

INSERT INTO job_failures (job_seq, attempt, error, at)
SELECT seq, 1, 'TimeoutError: no answer from host-' || seq % 50 || ' within 30 s', failed_at
FROM jobs WHERE failed_at IS NOT NULL;

INSERT INTO unique_locks
SELECT queue, unique_key, seq, created_at + unique_period
FROM jobs WHERE unique_key IS NOT NULL AND state < 4;
"""
_EVENTS = """
INSERT INTO events (type, job_seq, job_id, queue, at, data)
SELECT type, seq, id, queue, at, data FROM (
    SELECT 'enqueued' AS type, seq, id, queue, created_at AS at, NULL AS data FROM jobs
    UNION ALL
    SELECT 'started', seq, id, queue, started_at,
           json_object('attempt', attempt, 'worker_id', worker_id)
    FROM jobs WHERE started_at IS NOT NULL
    UNION ALL
    SELECT CASE state WHEN 4 THEN 'completed' WHEN 5 THEN 'dead' ELSE 'cancelled' END,
           seq, id, queue, finished_at, NULL
    FROM jobs WHERE finished_at IS NOT NULL
) ORDER BY at;
"""


def main() -> None:
    """Seed a data directory and print the time that it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--random", type=int, default=7, help="seed of the random numbers")
    parser.add_argument("--no-events", action="store_true", help="leave the event log empty")
    options = parser.parse_args()
    started = time.perf_counter()
    seed(options.data_dir, options.jobs, options.random, with_events=not options.no_events)
    size = (options.data_dir / DATABASE_NAME).stat().st_size
    seconds = time.perf_counter() - started
    print(f"{options.jobs:,} jobs in {seconds:.1f} s, {size / 1e6:,.0f} MB")


def seed(data_dir: Path, jobs: int, chance: int = 7, *, with_events: bool = True) -> None:
    """Fill `data_dir` with `jobs` jobs. Raises SystemExit if it already has jobs."""
    with lock_data_dir(data_dir):
        connection = open_writer(data_dir / DATABASE_NAME)
        connection.execute("PRAGMA synchronous = OFF")  # after a power failure, seed again
        if connection.execute("SELECT EXISTS (SELECT 1 FROM jobs)").fetchone() == (1,):
            raise SystemExit(f"{data_dir} already has jobs; name an empty directory")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_INSERT_JOB, _rows(jobs, random.Random(chance)))
        _run(connection, _DERIVED)
        if with_events:
            _run(connection, _EVENTS)
        connection.execute(_counters())
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()


_FINISHED = """
WITH RECURSIVE numbers (n) AS (
    SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :first + :count
)
INSERT INTO jobs (
    seq, id, queue, state, priority, attempt, max_retries, backoff, base_delay, max_delay,
    unique_period, worker_id, lease_token, scheduled_at, due_at, created_at, started_at,
    finished_at, payload
)
SELECT n, printf('job_0%025d', n), 'past', :state, 2, :started_at IS NOT NULL, 3, 3,
       5000, 600000, 0, 'worker-1', printf('%016x', n), :scheduled_at, :scheduled_at, :now,
       :started_at, :finished_at,
       json_object('to', 'ada@example.com', 'subject', 'hello', 'number', n)
FROM numbers"""


def extend(data_dir: Path, finished: int) -> None:
    """Add identical finished jobs, without events, until there are `finished` of them."""
    now = time.time_ns() // 1_000_000
    _fill(data_dir, JobState.COMPLETED, finished, {"started_at": now, "finished_at": now})


def seed_scheduled(data_dir: Path, scheduled: int) -> None:
    """Add jobs that are due in a year, until there are `scheduled` of them."""
    in_a_year = time.time_ns() // 1_000_000 + 365 * _DAY
    _fill(data_dir, JobState.SCHEDULED, scheduled, {"scheduled_at": in_a_year})


def _fill(data_dir: Path, state: JobState, jobs: int, times: dict[str, int]) -> None:
    with lock_data_dir(data_dir):
        connection = open_writer(data_dir / DATABASE_NAME)
        connection.execute("PRAGMA synchronous = OFF")
        statement = "SELECT count(*) FROM jobs WHERE queue = 'past'"
        (before,) = connection.execute(statement).fetchone()
        (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM jobs").fetchone()
        values = {"scheduled_at": None, "started_at": None, "finished_at": None} | times
        values |= {"first": last + 1, "count": jobs - before, "state": STATE_CODES[state]}
        if jobs > before:
            now = time.time_ns() // 1_000_000
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_FINISHED, values | {"now": now})
            connection.execute("DELETE FROM queues WHERE name = 'past'")
            connection.execute(_counters("past"))
            connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()


def _run(connection: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";\n"):
        connection.execute(statement)


def _counters(queue: str = "%") -> str:
    """Return the statement that inserts the queues LIKE `queue` with the counters of their jobs."""
    names = ", ".join(state.value for state in STATES)
    counts = ", ".join(f"sum(state = {code})" for code in range(len(STATES)))
    return (
        f"INSERT INTO queues (name, created_at, {names}, enqueued, failed)"  # noqa: S608
        f" SELECT queue, min(created_at), {counts}, count(*), sum(failed_at IS NOT NULL)"
        f" FROM jobs WHERE queue LIKE '{queue}' GROUP BY queue"
    )


def _rows(jobs: int, chance: random.Random) -> Iterator[tuple[Any, ...]]:
    now = time.time_ns() // 1_000_000
    begin = now - 6 * _DAY
    clock = [begin]
    ids = IdFactory(lambda: clock[0])
    queues = [f"queue-{i:02d}" for i in range(QUEUES)]
    sizes = [1 / 1.5**i for i in range(QUEUES)]
    states, shares = list(_SHARES), list(_SHARES.values())
    for i in range(jobs):
        created = clock[0] = begin + i * (6 * _DAY - _SECOND) // jobs
        user = chance.randrange(100_000)
        (state,) = chance.choices(states, shares)
        yield (
            i + 1,
            ids.job(),
            *chance.choices(queues, sizes),
            STATE_CODES[state],
            *chance.choices((0, 1, 2), (1, 9, 90)),
            *_life(state, user, created, now),
            _payload(user, chance.getrandbits(64)),
            _tags(user),
            '{"sent":true}' if state is JobState.COMPLETED else None,
        )


def _life(state: JobState, user: int, created: int, now: int) -> tuple[Any, ...]:
    """Return the columns from `attempt` to `failed_at`."""
    is_started = state not in {JobState.PENDING, JobState.SCHEDULED, JobState.CANCELLED}
    has_failed = state in {JobState.DEAD, JobState.RETRYING}
    ended = created + 200 + user % 1000
    scheduled = None
    if state is JobState.SCHEDULED:
        scheduled = now + _DAY + user * _SECOND
    elif state is JobState.RETRYING:
        scheduled = now + _DAY
    return (
        3 if state is JobState.DEAD else int(is_started),
        *(3, 3, 5_000, 600_000),
        f"order-{created}-{user}" if user % 20 == 0 else None,
        7 * _DAY,
        *((f"worker-{user % 50}", "host-1", f"{user:016x}", 60_000) if is_started else _IDLE),
        now + _DAY if state is JobState.ACTIVE else None,
        scheduled,
        created,
        created + 100 if is_started else None,
        ended if state.is_finished else None,
        ended if has_failed else None,
    )


_IDLE = (None, None, None, 0)


def _payload(user: int, trace: int) -> str:
    payload = {
        "user_id": user,
        "email": f"user{user}@example.org",
        "amount": user % 97_700 / 100,
        "template": f"welcome-{user % 7}",
        "items": [user % 13, user % 17],
        "meta": {"source": "api", "trace": f"{trace:016x}"},
    }
    return orjson.dumps(payload).decode()


def _tags(user: int) -> str | None:
    """Return tags for 70 % of the users: one of many customers, and for 50 % also a region."""
    if user % 10 > 6:
        return None
    tags = {"customer": f"c{user % CUSTOMERS:05d}"}
    if user % 10 < 5:
        tags["region"] = REGIONS[user % 5]
    return orjson.dumps(tags).decode()


if __name__ == "__main__":
    main()
