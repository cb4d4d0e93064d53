"""The table of schedules."""

from msgspec import structs

from corvo_schema.schedules import Misfire
from corvo_schema.states import Priority
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL, Row, storable
from corvo_server.store.schedules import ScheduleRecord


class Schedules:
    """Implements `store.commit.tables.ScheduleTable`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def find(self, reference: str, *, by_id: bool) -> ScheduleRecord | None:
        return _find(self._pipeline, SQL.lock_schedule, reference, by_id=by_id)

    def due(self, now: int, limit: int) -> list[ScheduleRecord]:
        return [_to_schedule(row) for row in self._pipeline.ask(SQL.due_schedules, (now, limit))]

    def save(self, schedule: ScheduleRecord) -> None:
        *values, options = structs.astuple(schedule)
        values[6], values[11] = int(schedule.priority), schedule.misfire.value
        self._pipeline.write(SQL.save_schedule, tuple(values))
        if options is not None:
            self._pipeline.write(SQL.save_schedule_options, (schedule.id, options))

    def remove(self, schedule_id: str) -> None:
        self._pipeline.write(SQL.delete_schedule, (schedule_id,))
        self._pipeline.write(SQL.delete_schedule_options, (schedule_id,))


def find_schedule(pipeline: Pipeline, reference: str) -> ScheduleRecord | None:
    """Return the schedule with this id or else this name; None if there is none."""
    return _find(pipeline, SQL.find_schedule, reference, by_id=True)


def list_schedules(pipeline: Pipeline) -> list[ScheduleRecord]:
    """Return all schedules, sorted by name."""
    return [_to_schedule(row) for row in pipeline.ask(SQL.list_schedules)]


def _find(
    pipeline: Pipeline, statement: str, reference: str, *, by_id: bool
) -> ScheduleRecord | None:
    rows = pipeline.ask(statement, {"reference": storable(reference), "by_id": by_id})
    return _to_schedule(rows[0]) if rows else None


def _to_schedule(row: Row) -> ScheduleRecord:
    schedule = ScheduleRecord(*row)
    schedule.priority = Priority(row[6])
    schedule.misfire = Misfire(row[11])
    return schedule
