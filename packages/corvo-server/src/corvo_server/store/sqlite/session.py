"""The session of the writer: it runs each commit as one SQLite transaction."""

import logging
import sqlite3
from time import perf_counter

from corvo_server.store.commit.tables import Tables
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.commit.writer import CommitError, Group
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.records import Commit
from corvo_server.store.sqlite.batches import Batches
from corvo_server.store.sqlite.bulk import Bulks
from corvo_server.store.sqlite.clock import Clock
from corvo_server.store.sqlite.events import Events
from corvo_server.store.sqlite.files import DataFiles
from corvo_server.store.sqlite.jobs import Jobs
from corvo_server.store.sqlite.locks import Locks
from corvo_server.store.sqlite.pending import PendingJobs
from corvo_server.store.sqlite.queues import Queues
from corvo_server.store.sqlite.schedules import Schedules

log = logging.getLogger(__name__)

_CHECK_AGAIN_AFTER = 0.05
"""Seconds after a check of the files at which the next transaction checks them before it begins."""
_SLOW_SYNC = 1.0
"""Seconds of one COMMIT above which a line warns of the disk."""


def _tables_of(connection: sqlite3.Connection, jobs: Jobs, events: Events) -> Tables:
    """Return the tables as seen by the transaction that is open on the connection."""
    return Tables(
        jobs=jobs,
        locks=Locks(connection),
        batches=Batches(connection),
        queues=Queues(connection),
        pending=PendingJobs(connection),
        events=events,
        schedules=Schedules(connection),
        bulks=Bulks(connection),
        clock=Clock(connection),
    )


class SqliteSession:
    """Implements `store.commit.writer.Session`."""

    def __init__(self, connection: sqlite3.Connection, files: DataFiles) -> None:
        self._connection = connection
        self._files = files
        self._files_checked_at = -float("inf")
        self._changes = 0
        self._jobs = Jobs(connection)
        self._events = Events(connection)
        self._tables = _tables_of(connection, self._jobs, self._events)

    def begin(self, groups: list[Group]) -> Transaction:
        if perf_counter() - self._files_checked_at > _CHECK_AGAIN_AFTER:
            self._check_files()
        self._begin_or_commit("BEGIN IMMEDIATE")
        self._changes = self._connection.total_changes
        return Transaction(self._tables)

    def commit(self, tx: Transaction) -> Commit:
        commit = tx.finish()
        started = perf_counter()
        self._begin_or_commit("COMMIT")
        ended = perf_counter()
        commit.sync_seconds = ended - started
        commit.has_written = self._connection.total_changes != self._changes
        if commit.sync_seconds > _SLOW_SYNC:
            log.warning("the disk took %.1f s to store a commit", commit.sync_seconds)
        # Otherwise a commit into a file that was removed meanwhile would be acknowledged.
        self._check_files()
        self._files_checked_at = ended
        return commit

    def rollback(self) -> None:
        self._jobs.forget()
        self._events.forget()
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def may_retry(self, error: Exception, tries: int) -> bool:
        return False  # there is no other writer, so a second try would fail like the first

    def explain(self, error: Exception) -> Exception:
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
            self._files_checked_at = -float("inf")
            raise CommitError(problem)

    def _begin_or_commit(self, statement: str) -> None:
        """Run BEGIN or COMMIT. Raises `CommitError`: the failure concerns every operation."""
        try:
            self._connection.execute(statement)
        except sqlite3.Error as error:
            raise CommitError(str(error)) from error
