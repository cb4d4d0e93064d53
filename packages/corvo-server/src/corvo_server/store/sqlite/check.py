"""Check a database: the integrity of the file and the invariants between its tables."""

import sqlite3
from collections.abc import Iterator

from corvo_server.store.sqlite.rows import SQL

_INVARIANTS = (
    ("wrong_counters", "queue {0}: its counters are {1}, but its jobs by state are {2}"),
    ("jobs_without_queue", "queue {0} has jobs but no row in the table of queues"),
    ("wrong_locks", "the unique key {1!r} of queue {0} belongs to job {2}, which may not have it"),
    ("wrong_batches", "batch {0}: total {1}, but {2} jobs are counted and {3} are not counted yet"),
    ("wrong_leases", "job {0} has a lease but is not active, or is active without a lease"),
    ("wrong_finish_times", "job {0} has a finish time but is not finished, or the reverse"),
    ("wrong_times", "job {0} is scheduled or retrying but has no scheduled time"),
    ("wrong_index_columns", "job {0}: its index columns (due_at, …) do not match its state"),
    ("wrong_order", "job {0} was created before a job with a lower seq"),
    ("wrong_tags", "the index of tags is wrong for the job with seq {0}: tag {1!r}, value {2!r}"),
)
"""Statements that return a row for each violation, and the message for such a row."""


def find_problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a sentence for each problem; nothing if the database is sound."""
    for (verdict,) in connection.execute("PRAGMA integrity_check"):
        if verdict != "ok":
            yield f"file: {verdict}"
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} refers to a row of {parent} that does not exist"
    for name, sentence in _INVARIANTS:
        for values in connection.execute(getattr(SQL, name)):
            yield sentence.format(*values)
