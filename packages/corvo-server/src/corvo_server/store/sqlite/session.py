"""The session of the writer: it runs each commit as one SQLite transaction."""

import logging
import sqlite3
from time import perf_counter

from corvo_server.store.commit.session import CommitError, Group
from corvo_server.store.commit.tables import Tables
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.protocol import OutcomeUnknown, StoreFull, StoreUnavailable
from corvo_server.store.records import Commit
from corvo_server.store.sqlite.audit import AuditLog
from corvo_server.store.sqlite.batches import Batches
from corvo_server.store.sqlite.bulk import Bulks
from corvo_server.store.sqlite.clock import Clock
from corvo_server.store.sqlite.events import Events
from corvo_server.store.sqlite.files import DataFiles
from corvo_server.store.sqlite.jobs import Jobs
from corvo_server.store.sqlite.key_usage import KeyUsage
from corvo_server.store.sqlite.keys import Keys
from corvo_server.store.sqlite.locks import Locks
from corvo_server.store.sqlite.pending import PendingJobs
from corvo_server.store.sqlite.queues import Queues
from corvo_server.store.sqlite.schedules import Schedules
from corvo_server.store.sqlite.space import Space, is_full
from corvo_server.store.sqlite.webhooks import Webhooks

log = logging.getLogger(__name__)

_SLOW_SYNC = 1.0
"""Seconds of one COMMIT above which a line warns of the disk."""
_WRITES_NOTHING = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CONSTRAINT,
    }
)
"""Errors of a COMMIT that certainly left no complete transaction in the write-ahead log.

The frame that commits is the last one that a COMMIT writes, so it is missing after a failed write.
After another error, e.g. of the fsync, the log may have the whole transaction, although SQLite has
rolled it back. The next commit overwrites it. A server that is killed before recovers it.
"""


def _tables_of(
    connection: sqlite3.Connection, jobs: Jobs, events: Events, queues: Queues
) -> Tables:
    """Return the tables as seen by the transaction that is open on the connection."""
    return Tables(
        jobs=jobs,
        locks=Locks(connection),
        batches=Batches(connection),
        queues=queues,
        pending=PendingJobs(connection),
        events=events,
        schedules=Schedules(connection),
        bulks=Bulks(connection),
        clock=Clock(connection),
        keys=Keys(connection),
        key_usage=KeyUsage(connection),
        audit=AuditLog(connection),
        webhooks=Webhooks(connection),
    )


class SqliteSession:
    """Implements `store.commit.writer.Session`."""

    def __init__(self, connection: sqlite3.Connection, files: DataFiles, space: Space) -> None:
        self._connection = connection
        self._files = files
        self._space = space
        space.measure(connection)
        self._pages: int | None = None
        """Number of pages before the transaction; None if its growth needs no check."""
        self._changes = 0
        self._jobs = Jobs(connection)
        self._events = Events(connection)
        self._queues = Queues(connection)
        self._tables = _tables_of(connection, self._jobs, self._events, self._queues)

    def begin(self, groups: list[Group]) -> Transaction:
        measure, self._pages = self._space.last, None
        if measure.is_near:
            measure = self._space.measure(self._connection)
            self._pages = measure.pages
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if is_full(error):
                raise  # smaller operations may succeed alone
            raise CommitError(str(error)) from error  # the failure concerns every operation
        self._changes = self._connection.total_changes
        return Transaction(self._tables, measure.room)

    def commit(self, tx: Transaction) -> Commit:
        commit = tx.finish()
        if self._pages is not None:
            self._space.check_growth(self._connection, self._pages, is_freeing=tx.is_freeing)
        commit.has_written = self._connection.total_changes != self._changes
        self._check_files()
        started = perf_counter()
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if commit.has_written and not self._has_written_nothing(error):
                raise OutcomeUnknown(f"the COMMIT failed: {error}") from error
            if is_full(error):
                raise  # smaller operations may succeed alone
            raise CommitError(str(error)) from error
        commit.sync_seconds = perf_counter() - started
        if commit.sync_seconds > _SLOW_SYNC:
            log.warning("the disk took %.1f s to store a commit", commit.sync_seconds)
        # Otherwise a commit into a file that was removed meanwhile would be acknowledged.
        problem = self._files.problem()
        if problem is not None:
            raise OutcomeUnknown(problem) if commit.has_written else CommitError(problem)
        return commit

    def rollback(self) -> None:
        self._jobs.forget()
        self._events.forget()
        self._queues.forget()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def may_retry(self, error: Exception, tries: int) -> bool:
        # There is no other writer, so a second try would fail like the first, except for its space.
        return tries == 1 and isinstance(error, sqlite3.Error) and self._release_reserve(error)

    def explain(self, error: Exception) -> Exception:
        if is_full(error):
            full = StoreFull(f"the disk of {self._files.directory} is full: {error}")
            full.__cause__ = error
            return full
        if isinstance(error, (sqlite3.DatabaseError, CommitError)) and not isinstance(
            error, (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
        ):
            unavailable = StoreUnavailable(f"the database cannot be written: {error}")
            unavailable.__cause__ = error
            return unavailable
        return error

    def close(self) -> None:
        try:
            # If the database was replaced, its log must stay: the next start applies it.
            if self._files.has_database:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            # No data is lost: the next start reads the write-ahead log.
            log.warning("could not checkpoint before closing: %s", error)
        self._connection.close()

    def _check_files(self) -> None:
        """Raise `CommitError` if a file of the database was removed or replaced."""
        problem = self._files.problem()
        if problem is not None:
            raise CommitError(problem)

    def _has_written_nothing(self, error: sqlite3.Error) -> bool:
        """Return whether a failed COMMIT has certainly left nothing that a restart recovers."""
        if self._connection.in_transaction:  # the COMMIT has not begun
            return True
        code = getattr(error, "sqlite_errorcode", 0)  # sqlite3 itself raises errors without it
        return bool({code, code & 0xFF} & _WRITES_NOTHING)

    def _release_reserve(self, error: Exception) -> bool:
        """Release the reserve if the disk is full. Return whether there is new space."""
        return is_full(error) and self._space.reserve.release()
