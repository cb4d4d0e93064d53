"""When the server has something to do by itself."""

from corvo_server.store.postgres.pipeline import Wire
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.records import NextTimes


def next_times(wire: Wire) -> NextTimes:
    """The earliest due time, lease end and expiry of all stored jobs, and slot of schedules."""
    (row,) = wire.ask(SQL.next_times)
    return NextTimes(*row)
