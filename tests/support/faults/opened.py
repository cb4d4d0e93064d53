"""Opens a data directory with the store of the server and reads what it holds."""

import sqlite3
from contextlib import closing
from pathlib import Path

from corvo_server.store.sqlite.check import find_problems
from corvo_server.store.sqlite.database import DATABASE_NAME
from corvo_server.store.sqlite.store import SqliteStore
from support.faults.effects import State
from support.faults.owners import JobState, QueueState, queue_thing, schedule_thing


async def open_and_read(data_dir: Path, job_ids: list[str]) -> tuple[dict[str, State], list[str]]:
    """Return the state of each thing by name, and what `corvo-server check` finds."""
    store = SqliteStore(data_dir)
    try:
        found: dict[str, State] = {}
        for job in await store.find_jobs(job_ids):
            found[job.head.id] = JobState(
                job.head.queue,
                job.head.state.value,
                job.head.attempt,
                _number(job.checkpoint),
                _number(job.result),
            )
        for queue in await store.list_queues():
            settings = QueueState(queue.is_paused, queue.max_concurrency)
            found[queue_thing(queue.name)] = None if settings == QueueState() else settings
        for schedule in await store.list_schedules():
            found[schedule_thing(schedule.name)] = schedule.cron
        with closing(sqlite3.connect(data_dir / DATABASE_NAME)) as connection:
            problems = list(find_problems(connection))
    finally:
        await store.close()
    return found, problems


def _number(document: str | None) -> int | None:
    return int(document) if document else None
