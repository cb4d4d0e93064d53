"""Schedules: found, and written."""

from msgspec import structs

from corvo_schema.schedules import Misfire
from corvo_schema.states import Priority
from corvo_server.store.postgres.pipeline import Wire
from corvo_server.store.postgres.rows import SQL, Row, storable
from corvo_server.store.schedules import ScheduleRecord


class Schedules:
    """Implements `store.commit.tables.ScheduleTable`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def find(self, reference: str, *, by_id: bool) -> ScheduleRecord | None:
        return _find(self._wire, SQL.lock_schedule, reference, by_id=by_id)

    def due(self, now: int, limit: int) -> list[ScheduleRecord]:
        return [_to_schedule(row) for row in self._wire.ask(SQL.due_schedules, (now, limit))]

    def save(self, schedule: ScheduleRecord) -> None:
        values = list(structs.astuple(schedule))
        values[6], values[11] = int(schedule.priority), schedule.misfire.value
        self._wire.write(SQL.save_schedule, tuple(values))

    def remove(self, schedule_id: str) -> None:
        self._wire.write(SQL.delete_schedule, (schedule_id,))


def find_schedule(wire: Wire, reference: str) -> ScheduleRecord | None:
    """One schedule by its id, else by its name."""
    return _find(wire, SQL.find_schedule, reference, by_id=True)


def list_schedules(wire: Wire) -> list[ScheduleRecord]:
    """All schedules by name."""
    return [_to_schedule(row) for row in wire.ask(SQL.list_schedules)]


def _find(wire: Wire, statement: str, reference: str, *, by_id: bool) -> ScheduleRecord | None:
    rows = wire.ask(statement, {"reference": storable(reference), "by_id": by_id})
    return _to_schedule(rows[0]) if rows else None


def _to_schedule(row: Row) -> ScheduleRecord:
    schedule = ScheduleRecord(*row)
    schedule.priority = Priority(row[6])
    schedule.misfire = Misfire(row[11])
    return schedule
