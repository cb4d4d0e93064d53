"""Whether a database is sound: what must hold between its tables, as of one moment."""

from collections.abc import Iterator

from corvo_server.store.postgres.database import connect, search_path
from corvo_server.store.postgres.pipeline import Connection
from corvo_server.store.postgres.rows import SQL

_INVARIANTS = (
    ("wrong_counters", "queue {0}: the counters say {1}, the jobs {2}"),
    ("wrong_locks", "the unique key {1!r} of queue {0} is held by {2}, which may not hold it"),
    ("wrong_batches", "batch {0}: {1} jobs in all, {2} counted, {3} still to be counted"),
    ("jobs_without_batch", "job {0} is of the batch {1}, which is not there"),
    ("failures_without_job", "there are failures of a job of seq {0}, which is not there"),
    ("wrong_leases", "job {0}: a lease without being active, or active without a lease"),
    ("wrong_ends", "job {0}: an end without being finished, or finished without an end"),
    ("wrong_times", "job {0} waits for a time that it does not have"),
    ("wrong_sequences", "{0}: {1} is used already, and the sequence will give it out again"),
)


def check(url: str, schema: str) -> list[str]:
    """What is wrong with the database, as sentences. Servers may go on meanwhile."""
    with connect(url) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SELECT set_config('search_path', %s, true)", (search_path(schema),))
        return list(find_problems(connection))


def find_problems(connection: Connection) -> Iterator[str]:
    """A sentence for each thing that is wrong; nothing when all is well."""
    for name, sentence in _INVARIANTS:
        for values in connection.execute(getattr(SQL, name)).fetchall():
            yield sentence.format(*values)
