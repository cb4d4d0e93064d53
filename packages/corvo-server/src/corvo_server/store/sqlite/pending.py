"""Pending jobs, the limits of their queues, and the jobs that workers have leased."""

import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing
from itertools import takewhile

import orjson

from corvo_server.store.commit.tables import Place, QueueLimits, Starts
from corvo_server.store.records import Holder, LeasedJob
from corvo_server.store.rows.heads import PLAIN_WIDTH
from corvo_server.store.sizes import count_fitting, size_of
from corvo_server.store.sqlite.rows import SQL, to_leased, to_plain


class PendingJobs:
    """Implements `store.commit.tables.PendingTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def limits(self, queues: Collection[str]) -> dict[str, QueueLimits]:
        execute = self._connection.execute
        rows = [(queue, execute(SQL.queue_limits, (queue,)).fetchone()) for queue in queues]
        return {queue: QueueLimits(*row) for queue, row in rows if row is not None}

    def starts(self, queue: str, since: int, until: int) -> Starts:
        self._connection.execute(SQL.forget_starts, (queue, since, until))
        return Starts(*self._connection.execute(SQL.starts_since, (queue, since)).fetchone())

    def add_starts(self, queue: str, at: int, count: int) -> None:
        self._connection.execute(SQL.add_starts, (queue, at, count))

    def first(self, rooms: Mapping[str, int], now: int) -> dict[str, list[Place]]:
        return {
            queue: self._places(SQL.first_pending, (queue, now, room))
            for queue, room in rooms.items()
        }

    def first_after(self, queue: str, after: int, now: int, count: int) -> list[Place]:
        return self._places(SQL.first_pending_after, (queue, after, now, count))

    def keys(self, queue: str) -> list[tuple[str, int]]:
        return self._connection.execute(SQL.pending_keys, (queue,)).fetchall()

    def first_without_key(self, queue: str, after: int, now: int, count: int) -> list[Place]:
        return self._places(SQL.first_pending_without_key, (queue, after, now, count))

    def first_of_keys(
        self, queue: str, rooms: Mapping[str, int], after: int, now: int
    ) -> dict[str, list[Place]]:
        return {
            key: self._places(SQL.first_pending_of_key, (queue, key, after, now, room))
            for key, room in rooms.items()
        }

    def first_in_order(self, queue: str, after: int, now: int, count: int) -> list[Place]:
        return self._places(SQL.first_pending_in_order, (queue, after, now, count))

    def load(self, seqs: list[int], max_bytes: int) -> list[LeasedJob]:
        # The rows are read one by one: reading stops as soon as a row does not fit.
        leased: dict[int, LeasedJob] = {}
        others: list[int] = []
        room = max_bytes
        with closing(self._connection.cursor()) as rows:
            for row in rows.execute(SQL.plain_by_seq, (orjson.dumps(seqs).decode(),)):
                room -= size_of(row[PLAIN_WIDTH])
                if room < 0 and (leased or others):
                    break
                if row[-1]:
                    leased[row[0]] = to_plain(row)
                else:
                    others.append(row[0])
        return self._load_others(seqs, others, leased, max_bytes) if others else [*leased.values()]

    def _load_others(
        self, seqs: list[int], others: list[int], leased: dict[int, LeasedJob], max_bytes: int
    ) -> list[LeasedJob]:
        """Add the jobs with options to `leased`. Return the first jobs of `seqs` that fit."""
        room = max_bytes
        with closing(self._connection.cursor()) as rows:
            for row in rows.execute(SQL.claimed_by_seq, (orjson.dumps(others).decode(),)):
                seq, leased[seq] = to_leased(row)
                room -= leased[seq].size
                if room < 0:
                    break
        found = [leased[seq] for seq in takewhile(leased.__contains__, seqs)]
        return found[: count_fitting((job.size for job in found), max_bytes)]

    def _places(self, statement: str, values: tuple[object, ...]) -> list[Place]:
        return [Place(*row) for row in self._connection.execute(statement, values)]


def list_holders(connection: sqlite3.Connection) -> list[Holder]:
    """Return the workers that have active jobs, with the number of their jobs."""
    return [Holder(*row) for row in connection.execute(SQL.list_holders)]
