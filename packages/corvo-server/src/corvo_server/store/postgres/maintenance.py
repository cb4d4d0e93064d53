"""When the server has something to do by itself."""

from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.records import NextTimes


def next_times(pipeline: Pipeline) -> NextTimes:
    """The earliest due time, lease end and expiry of all stored jobs, and occurrence of schedules."""
    (row,) = pipeline.ask(SQL.next_times)
    return NextTimes(*row)
