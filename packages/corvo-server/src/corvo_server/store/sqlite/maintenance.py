"""The times at which maintenance has something to do."""

import sqlite3

from corvo_server.store.records import NextTimes
from corvo_server.store.sqlite.rows import SQL, fetch_one


def next_times(connection: sqlite3.Connection) -> NextTimes:
    """Return the earliest due time, lease expiry and job expiry, and the next occurrence (ms)."""
    return NextTimes(
        *(
            fetch_one(connection, statement)[0]
            for statement in (
                SQL.next_due,
                SQL.next_lease_expiry,
                SQL.next_expiry,
                SQL.next_occurrence,
            )
        )
    )
