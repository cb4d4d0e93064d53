"""Whether a database is sound: the file itself, and what must hold between its tables."""

import sqlite3
from collections.abc import Iterator

from corvo_server.store.sqlite.rows import SQL

_INVARIANTS = (
    ("wrong_counters", "queue {0}: the counters say {1}, the jobs {2}"),
    ("jobs_without_queue", "queue {0} has jobs but is not known"),
    ("wrong_locks", "the unique key {1!r} of queue {0} is held by {2}, which may not hold it"),
    ("wrong_batches", "batch {0}: {1} jobs in all, {2} counted, {3} still to be counted"),
    ("wrong_leases", "job {0}: a lease without being active, or active without a lease"),
    ("wrong_ends", "job {0}: an end without being finished, or finished without an end"),
    ("wrong_times", "job {0} waits for a time that it does not have"),
    ("wrong_copies", "job {0}: its place in the indexes of what waits is not that of its state"),
    ("wrong_order", "job {0} was created before one that was enqueued earlier"),
    ("wrong_tags", "the job of seq {0}: the tag {1!r} with {2!r} is not indexed as it is"),
)


def find_problems(connection: sqlite3.Connection) -> Iterator[str]:
    """A sentence for each thing that is wrong; nothing when all is well."""
    for (verdict,) in connection.execute("PRAGMA integrity_check"):
        if verdict != "ok":
            yield f"file: {verdict}"
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} refers to a row of {parent} that is not there"
    for name, sentence in _INVARIANTS:
        for values in connection.execute(getattr(SQL, name)):
            yield sentence.format(*values)
