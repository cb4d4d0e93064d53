"""The times at which maintenance has something to do."""

from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.records import NextTimes


def next_times(pipeline: Pipeline) -> NextTimes:
    """Return the earliest due time, lease expiry and job expiry, and the next occurrence (ms)."""
    (row,) = pipeline.ask(SQL.next_times)
    return NextTimes(*row)
