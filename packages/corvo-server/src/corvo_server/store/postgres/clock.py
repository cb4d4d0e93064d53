"""The offset of the database's clock from the server's time."""

from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL


class Clock:
    """Implements `store.commit.tables.ClockTable`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def set_wall_offset(self, expected: int, offset: int) -> bool:
        values = {"expected": expected, "offset": offset}
        return self._pipeline.count(SQL.set_wall_offset, values) > 0
