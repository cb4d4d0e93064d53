"""When the server has something to do by itself."""

import sqlite3

from corvo_server.store.records import NextTimes
from corvo_server.store.sqlite.rows import SQL, fetch_one


def next_times(connection: sqlite3.Connection) -> NextTimes:
    """The earliest due time, lease end and expiry of all stored jobs, and occurrence of schedules."""
    return NextTimes(
        *(
            fetch_one(connection, statement)[0]
            for statement in (
                SQL.next_due,
                SQL.next_lease_end,
                SQL.next_expiry,
                SQL.next_occurrence,
            )
        )
    )
