"""The table of unique locks: which job has which unique key."""

import sqlite3

from corvo_server.store.records import JobHead
from corvo_server.store.sqlite.rows import SQL


class Locks:
    """Implements `store.commit.tables.LockTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def holder(self, queue: str, unique_key: str, now: int) -> str | None:
        row = self._connection.execute(SQL.find_lock, (queue, unique_key)).fetchone()
        if row is None or row[1] <= now:
            return None
        holder: str = row[0]
        return holder

    def take(self, job: JobHead, now: int) -> None:
        values = (job.queue, job.unique_key, job.seq, now + job.unique_period)
        self._connection.execute(SQL.take_lock, values)

    def free(self, job: JobHead) -> None:
        self._connection.execute(SQL.free_lock, (job.queue, job.unique_key, job.seq))

    def prune(self, now: int, limit: int) -> int:
        return self._connection.execute(SQL.prune_locks, (now, limit)).rowcount
