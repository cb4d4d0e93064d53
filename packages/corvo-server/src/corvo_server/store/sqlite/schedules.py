"""The table of schedules."""

import sqlite3

from msgspec import structs

from corvo_schema.schedules import Misfire
from corvo_schema.states import Priority
from corvo_server.store.schedules import ScheduleRecord
from corvo_server.store.sqlite.rows import SQL, Row


class Schedules:
    """Implements `store.commit.tables.ScheduleTable`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, reference: str, *, by_id: bool) -> ScheduleRecord | None:
        return find_schedule(self._connection, reference, by_id=by_id)

    def due(self, now: int, limit: int) -> list[ScheduleRecord]:
        rows = self._connection.execute(SQL.due_schedules, (now, limit)).fetchall()
        return [_to_schedule(row) for row in rows]

    def save(self, schedule: ScheduleRecord) -> None:
        *columns, options = structs.astuple(schedule)
        self._connection.execute(SQL.save_schedule, columns)
        if options is not None:
            self._connection.execute(SQL.save_schedule_options, (schedule.id, options))

    def remove(self, schedule_id: str) -> None:
        self._connection.execute(SQL.delete_schedule, (schedule_id,))
        self._connection.execute(SQL.delete_schedule_options, (schedule_id,))


def find_schedule(
    connection: sqlite3.Connection, reference: str, *, by_id: bool = True
) -> ScheduleRecord | None:
    """Return the schedule with this name or, if `by_id`, this id; None if there is none.

    An id takes precedence over an equal name.
    """
    row = connection.execute(SQL.find_schedule, (reference, by_id)).fetchone()
    return None if row is None else _to_schedule(row)


def list_schedules(connection: sqlite3.Connection) -> list[ScheduleRecord]:
    """Return all schedules, sorted by name."""
    return [_to_schedule(row) for row in connection.execute(SQL.list_schedules)]


def _to_schedule(row: Row) -> ScheduleRecord:
    schedule = ScheduleRecord(*row)
    schedule.priority = Priority(row[6])
    schedule.misfire = Misfire(row[11])
    schedule.is_paused = row[15] == 1
    return schedule
