"""Check the values of a database and the invariants between its tables, in one snapshot."""

from collections.abc import Iterator

from corvo_server.store.postgres.database import connect, search_path
from corvo_server.store.postgres.pipeline import Connection
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.postgres.values import wrong_values

_INVARIANTS = (
    ("wrong_counters", "queue {0}: its counters are {1}, but its jobs by state are {2}"),
    (
        "wrong_key_usage",
        "key {0}: its sums are {1} jobs and {2} bytes, but its jobs are {3} and {4}",
    ),
    ("wrong_charges", "job {0}: {1} bytes are counted for a key, but its payload has others"),
    ("wrong_locks", "the unique key {1!r} of queue {0} belongs to job {2}, which may not have it"),
    ("wrong_batches", "batch {0}: total {1}, but {2} jobs are counted and {3} are not counted yet"),
    ("jobs_without_batch", "job {0} belongs to batch {1}, which does not exist"),
    ("failures_without_job", "failures refer to the job with seq {0}, which does not exist"),
    ("wrong_leases", "job {0} has a lease but is not active, or is active without a lease"),
    ("wrong_finish_times", "job {0} has a finish time but is not finished, or the reverse"),
    ("wrong_times", "job {0} is scheduled or retrying but has no scheduled time"),
    ("events_without_job", "event {0} refers to job {1} with seq {2}, which never existed"),
    (
        "missing_audit_triggers",
        "the trigger {0}, which keeps entries of the audit log from being changed, is missing or "
        "disabled",
    ),
    ("wrong_sequences", "{0}: number {1} is used, but the sequence will return it again"),
)
"""Statements that return a row for each violation, and the message for such a row."""


def check(url: str, schema: str) -> list[str]:
    """Return a sentence for each problem of the database. Running servers are not interrupted."""
    with connect(url) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SELECT set_config('search_path', %s, true)", (search_path(schema),))
        return list(find_problems(connection))


def find_problems(connection: Connection) -> Iterator[str]:
    """Yield a sentence for each problem; nothing if the database is sound."""
    yield from wrong_values(connection)
    for name, sentence in _INVARIANTS:
        for values in connection.execute(getattr(SQL, name)).fetchall():
            yield sentence.format(*values)
