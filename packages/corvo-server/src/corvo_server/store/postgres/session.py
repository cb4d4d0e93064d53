"""The session of the writer: it runs each commit as one transaction, beside other servers.

A transaction is retried if the database aborts it (a deadlock, a serialization failure), or if the
connection is lost before the COMMIT. If the connection is lost after the COMMIT was sent, the
session reads from the database whether it succeeded: each transaction stores its number there. If
the database cannot be asked, nobody knows, and the callers learn that.
"""

import logging
import random
import secrets
import time
from contextlib import suppress

import psycopg
from psycopg import errors

from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.session import CommitError, Group
from corvo_server.store.commit.tables import Tables
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.postgres.audit import AuditLog
from corvo_server.store.postgres.batches import Batches
from corvo_server.store.postgres.bulk import Bulks
from corvo_server.store.postgres.clock import Clock
from corvo_server.store.postgres.database import connect, is_pooled, search_path, write_settings
from corvo_server.store.postgres.events import Events, key_base
from corvo_server.store.postgres.head_cache import HeadCache
from corvo_server.store.postgres.jobs import Jobs
from corvo_server.store.postgres.key_usage import KeyUsage
from corvo_server.store.postgres.keys import Keys
from corvo_server.store.postgres.locks import Locks
from corvo_server.store.postgres.notifications import Notification
from corvo_server.store.postgres.pending import PendingJobs
from corvo_server.store.postgres.pipeline import (
    CONNECTION_ERRORS,
    SESSION_TIMEOUTS,
    Connection,
    Pipeline,
    Rows,
)
from corvo_server.store.postgres.queues import Queues
from corvo_server.store.postgres.rows import SQL, as_json
from corvo_server.store.postgres.schedules import Schedules
from corvo_server.store.postgres.webhooks import Webhooks
from corvo_server.store.protocol import OutcomeUnknown, StoreFull, StoreUnavailable
from corvo_server.store.records import Commit

log = logging.getLogger(__name__)

_TRIES = 5
_FIRST_PAUSE = 0.01
"""Longest pause in seconds before the second try; it doubles with each further try."""
_RECONNECT_EVERY = 0.5
"""Seconds between attempts to connect while the database is unreachable."""
_OUTCOME_TIMEOUT = 20.0
"""Seconds after which the session stops asking whether a commit succeeded."""

_RETRYABLE = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    # Another server stored the same row a moment earlier; the next try finds it.
    errors.UniqueViolation,
)
_DATABASE_ERRORS = (*CONNECTION_ERRORS, errors.ReadOnlySqlTransaction, CommitError)
_ENDING = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    *SESSION_TIMEOUTS,
)
_UNANSWERED = ("08", "57P", "40003")
"""Beginnings of the SQLSTATEs that say nothing about the outcome of a COMMIT: the connection or
its server ends, also behind a pooler, or the completion is unknown."""


class _ConnectionLost(CommitError):
    """The connection was lost before anything was committed."""


class PostgresSession:
    """Implements `store.commit.writer.Session`."""

    def __init__(
        self,
        url: str,
        *,
        schema: str,
        channel: str | None,
    ) -> None:
        """Create the session; it connects at the first `begin`.

        `channel` is the NOTIFY channel on which other servers learn of commits; None: no NOTIFY.
        """
        self.writer_id = f"writer_{secrets.token_hex(8)}"
        self._url = url
        self._channel = channel
        self._base = key_base(schema)
        self._search_path = search_path(schema)
        self._connection: Connection | None = None
        self._pipeline: Pipeline | None = None
        self._numbers = 0
        """Number of the last writing transaction. Never used twice, also not after a failure."""
        self._cached_heads = HeadCache()
        self._has_session = False
        """Whether all transactions run in one database session; false behind a pooler.

        Only then do settings and cached heads stay valid for the next transaction.
        """
        self._failed_at: float | None = None

    def begin(self, groups: list[Group]) -> Transaction:
        prefetch = Prefetch()
        for verb, requests in groups:
            if verb.prefetch is not None:
                verb.prefetch(prefetch, requests)
        pipeline = self._pipeline = Pipeline(self._connected())
        try:
            pipeline.open()
            pipeline.send(SQL.begin)
            if not self._has_session:
                pipeline.send(SQL.set_up_writing, write_settings(self._search_path))
            self._tables = self._tables_of(pipeline, prefetch)
        except psycopg.OperationalError as error:
            self.rollback()
            raise _ConnectionLost(str(error)) from error
        return Transaction(self._tables)

    def _tables_of(self, pipeline: Pipeline, prefetch: Prefetch) -> Tables:
        # Every server locks in the same order, which prevents deadlocks: unique keys, jobs, queues,
        # limits of API keys, then batches.
        cached = self._cached_heads.find(prefetch.ids) if prefetch.ids else None
        self._locks = locks = Locks(pipeline, prefetch, cached)
        self._jobs = jobs = Jobs(pipeline, prefetch, cached)
        self._pending = pending = PendingJobs(pipeline, prefetch)
        return Tables(
            jobs=jobs,
            locks=locks,
            batches=Batches(pipeline),
            queues=Queues(pipeline, prefetch, cached, pending, self.writer_id),
            pending=pending,
            events=Events(pipeline, self._base),
            schedules=Schedules(pipeline),
            bulks=Bulks(pipeline, pending),
            clock=Clock(pipeline),
            keys=Keys(pipeline),
            key_usage=KeyUsage(pipeline, self.writer_id),
            audit=AuditLog(pipeline),
            webhooks=Webhooks(pipeline),
        )

    def commit(self, tx: Transaction) -> Commit:
        pipeline = self._open_pipeline()
        try:
            commit = tx.finish()
            self._locks.flush()
            xid_rows: Rows | None = None
            if pipeline.has_written:
                self._numbers += 1
                xid_rows = pipeline.request(SQL.record_commit, (self.writer_id, self._numbers))
            commit.has_written = pipeline.has_written
            started = time.perf_counter()
            has_results = self._end(pipeline, commit, self._numbers)
            commit.sync_seconds = time.perf_counter() - started
        except psycopg.OperationalError as error:
            if _is_closed(pipeline.connection, error):
                raise _ConnectionLost(str(error)) from error
            if _is_full(error):
                raise  # a delete may succeed alone
            raise CommitError(str(error)) from error
        if has_results:
            self._update_head_cache(xid_rows)
        self._pipeline = None
        return commit

    def _update_head_cache(self, xid_rows: Rows | None) -> None:
        """Drop the heads found stale, and cache the heads that the transaction wrote."""
        self._cached_heads.forget(self._jobs.stale)
        if xid_rows is not None and self._has_session:
            ((xid,),) = xid_rows()
            self._cached_heads.keep(self._jobs.written, xid)

    def _end(self, pipeline: Pipeline, commit: Commit, number: int) -> bool:
        """Commit, then notify the other servers.

        Return whether the results of the last statements arrived; False if the connection was lost
        after the commit. Raises `OutcomeUnknown`. Any other error means that the transaction was
        not committed; then it is `_ConnectionLost` if the connection is lost.
        """
        notification = None
        if self._channel is not None and pipeline.has_written:
            notification = Notification.of(self.writer_id, commit, self._pending.left)
        payload = None if notification is None else notification.write()
        # From here on the COMMIT may have been sent, whatever fails. Pipeline mode may send it with
        # any of these statements.
        committing = None
        try:
            committing = pipeline.connection.execute("COMMIT")
            if payload is not None:
                # NOTIFY runs after the COMMIT, not in the transaction: transactions with a NOTIFY
                # commit one at a time in the whole database. A notification may be lost in a crash;
                # then the other servers find the changes by polling.
                pipeline.send(SQL.notify, (self._channel, payload))
            pipeline.close()
        except Exception as error:
            with suppress(psycopg.Error):  # reads the answers that have arrived
                pipeline.close()
            if committing is not None and committing.statusmessage == "COMMIT":
                return True
            if _has_refused(pipeline.connection, error):
                raise
            if not pipeline.has_written or not self._has_committed(number):
                raise _ConnectionLost(str(error)) from error
            return False
        if committing.statusmessage != "COMMIT":
            raise CommitError(f"the COMMIT was answered with {committing.statusmessage}")
        return True

    def _has_committed(self, number: int) -> bool:
        """Return whether transaction `number` was committed, after the answer was lost.

        Raises `OutcomeUnknown` if the database cannot be asked in time.
        """
        log.warning("the connection was lost during commit %d: asking for its outcome", number)
        deadline = time.monotonic() + _OUTCOME_TIMEOUT
        while True:
            self._drop()
            try:
                # Adding the writer could hide that its row was deleted.
                connection = self._connected(adds_writer=False)
                with connection.transaction():
                    connection.execute(SQL.set_up_writing, write_settings(self._search_path))
                    found = connection.execute(SQL.read_commit_number, (self.writer_id,)).fetchone()
                break
            except (psycopg.Error, CommitError) as error:
                if time.monotonic() > deadline:
                    self._drop()
                    raise OutcomeUnknown(
                        "the connection was lost during the COMMIT, and the database could not be "
                        f"asked for the outcome within {_OUTCOME_TIMEOUT:g} s: {error}"
                    ) from error
                time.sleep(_RECONNECT_EVERY)
        if found is None:
            self._drop()
            raise OutcomeUnknown(
                "the connection was lost during the COMMIT, and the database has no row of this "
                "writer any more to ask for the outcome"
            )
        return bool(found[0] == number)

    def rollback(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.abandon()

    def may_retry(self, error: Exception, tries: int) -> bool:
        if tries >= _TRIES:
            return False
        if isinstance(error, errors.ReadOnlySqlTransaction):
            # This server of the database is a standby now; connecting again finds the primary.
            self._drop()
            return True
        if isinstance(error, _ConnectionLost):
            return True
        if self._connection is None or _is_closed(self._connection, error):
            self._drop()
            return isinstance(error, CONNECTION_ERRORS)
        if not isinstance(error, _RETRYABLE):
            return False
        # A random pause, so that two servers do not collide again.
        time.sleep(_FIRST_PAUSE * 2**tries * random.random())  # noqa: S311 - not for security
        return True

    def explain(self, error: Exception) -> Exception:
        if _is_full(error):
            full = StoreFull(f"the disk of PostgreSQL is full: {error}")
            full.__cause__ = error
            return full
        if isinstance(error, _DATABASE_ERRORS):
            unavailable = StoreUnavailable(f"the database cannot be written: {error}")
            unavailable.__cause__ = error
            return unavailable
        return error

    def close(self) -> None:
        """Merge this writer's counters into the shared ones, and disconnect."""
        try:
            with self._connected() as connection, connection.transaction():
                connection.execute(SQL.set_up_writing, write_settings(self._search_path))
                connection.execute(SQL.merge_counters, (as_json([self.writer_id]),))
                connection.execute(SQL.merge_key_usage, (as_json([self.writer_id]),))
                connection.execute(SQL.delete_writers, (as_json([self.writer_id]),))
        except (psycopg.Error, CommitError) as error:
            # Nothing is lost: another server merges the counters after an hour.
            log.warning("could not merge the counters of %s: %s", self.writer_id, error)
        self._drop()

    def _open_pipeline(self) -> Pipeline:
        if self._pipeline is None:
            raise CommitError("no transaction is open")
        return self._pipeline

    def _connected(self, *, adds_writer: bool = True) -> Connection:
        """Return the connection, reconnecting if it was lost. Raises `CommitError`.

        `adds_writer`: whether a new connection adds the row of this writer if it is missing.
        """
        if self._connection is not None and not self._connection.closed:
            return self._connection
        self._drop()
        now = time.monotonic()
        if self._failed_at is not None and now - self._failed_at < _RECONNECT_EVERY:
            raise CommitError("the database is unreachable")
        try:
            connection = connect(self._url)
            self._has_session = not is_pooled(connection)
            if self._has_session:
                connection.execute(SQL.limit_transactions)
                connection.execute(
                    SQL.set_up_writing, write_settings(self._search_path, is_local=False)
                )
            if adds_writer:
                with connection.transaction():
                    connection.execute(SQL.set_up_writing, write_settings(self._search_path))
                    connection.execute(SQL.add_writer, (self.writer_id,))
        except psycopg.Error as error:
            self._failed_at = time.monotonic()
            raise CommitError(f"the database is unreachable: {error}") from error
        self._failed_at = None
        self._connection = connection
        return connection

    def _drop(self) -> None:
        self._cached_heads.clear()
        self._has_session = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _has_refused(connection: Connection, error: Exception) -> bool:
    """Return whether the database answered the transaction or its COMMIT with `error`."""
    return (
        isinstance(error, psycopg.Error)
        and error.sqlstate is not None
        and not error.sqlstate.startswith(_UNANSWERED)
        and error.diag.severity_nonlocalized not in {"FATAL", "PANIC"}
        and not _is_closed(connection, error)
    )


def _is_full(error: Exception) -> bool:
    """Return whether PostgreSQL refused a statement because its disk is full."""
    return isinstance(error, psycopg.Error) and error.diag.sqlstate == errors.DiskFull.sqlstate


def _is_closed(connection: Connection, error: Exception) -> bool:
    """Return whether the connection is closed, or `error` says that the database closes it."""
    return bool(connection.closed) or isinstance(error, _ENDING)
