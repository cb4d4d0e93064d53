"""The connection that writes: one transaction a commit, on a database that others write to as well.

A transaction that the database gives up (a deadlock, a serialization failure) is tried again, and
so is one whose connection is lost before it was told to commit. Where the connection is lost with
the answer to a COMMIT, the database is asked what came of it: each commit leaves its number.
"""

import logging
import random
import secrets
import time

import psycopg
from psycopg import errors

from corvo_server.store.commit.prefetch import Prefetch
from corvo_server.store.commit.tables import Tables
from corvo_server.store.commit.transaction import Transaction
from corvo_server.store.commit.writer import CommitError, Group
from corvo_server.store.postgres.batches import Batches
from corvo_server.store.postgres.bulk import Bulks
from corvo_server.store.postgres.database import connect, is_pooled, search_path, set_up
from corvo_server.store.postgres.events import Events, key_base
from corvo_server.store.postgres.head_cache import HeadCache
from corvo_server.store.postgres.jobs import Jobs
from corvo_server.store.postgres.locks import Locks
from corvo_server.store.postgres.notifications import Notification
from corvo_server.store.postgres.pending import PendingJobs
from corvo_server.store.postgres.pipeline import OUT_OF_REACH, PUT_OUT, Connection, Pipeline, Rows
from corvo_server.store.postgres.queues import Queues
from corvo_server.store.postgres.rows import SQL, as_json
from corvo_server.store.postgres.schedules import Schedules
from corvo_server.store.protocol import StoreUnavailable
from corvo_server.store.records import Commit

log = logging.getLogger(__name__)

_TRIES = 5
_FIRST_PAUSE = 0.01
"""Seconds before the second try; each further one waits twice as long."""
_RECONNECT_EVERY = 0.5
"""Seconds between attempts to connect while the database is out of reach."""
_WAIT_FOR_OUTCOME = 20.0
"""Seconds for which it is tried to learn what came of a commit."""

_TRY_AGAIN = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.UniqueViolation,  # of what another server stored a moment earlier: it is found now
)
_DATABASE_ERRORS = (*OUT_OF_REACH, errors.ReadOnlySqlTransaction, CommitError)
_ENDING = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    *PUT_OUT,
)


class _Lost(CommitError):
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
        """`channel` is where other servers hear of commits; None tells them nothing."""
        self.writer_id = f"writer_{secrets.token_hex(8)}"
        self._url = url
        self._channel = channel
        self._base = key_base(schema)
        self._search_path = search_path(schema)
        self._connection: Connection | None = None
        self._pipeline: Pipeline | None = None
        self._commits = 0
        self._cached_heads = HeadCache()
        self._has_session = False
        """Whether all transactions are of one session of the database; not so behind a pooler.

        Only then can anything be kept for the next one: settings there, and heads here.
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
                pipeline.send(SQL.set_up_writing, set_up(self._search_path))
            self._tables = self._tables_of(pipeline, prefetch)
        except psycopg.OperationalError as error:
            self.rollback()
            raise _Lost(str(error)) from error
        return Transaction(self._tables)

    def _tables_of(self, pipeline: Pipeline, prefetch: Prefetch) -> Tables:
        # In this order the locks are taken, by every server: keys, jobs, queues, then batches.
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
            bulks=Bulks(pipeline),
        )

    def commit(self, tx: Transaction) -> Commit:
        pipeline = self._open_pipeline()
        try:
            commit = tx.finish()
            self._locks.flush()
            number = self._commits + pipeline.has_written
            mark: Rows | None = None
            if pipeline.has_written:
                mark = pipeline.request(SQL.mark_commit, (self.writer_id, number))
            is_answered = self._end(pipeline, commit, number)
        except psycopg.OperationalError as error:
            if _is_gone(pipeline.connection, error):
                raise _Lost(str(error)) from error
            raise CommitError(str(error)) from error
        self._commits = number
        if is_answered:
            self._hold(mark)
        self._pipeline = None
        return commit

    def _hold(self, mark: Rows | None) -> None:
        """Hold on to the heads that were written."""
        self._cached_heads.forget(self._jobs.stale)
        if mark is not None and self._has_session:
            ((xid,),) = mark()
            self._cached_heads.keep(self._jobs.written, xid)

    def _end(self, pipeline: Pipeline, commit: Commit, number: int) -> bool:
        """Commit, and tell the others. False: it is committed, but what came back is lost."""
        told = pipeline.connection.execute("COMMIT")
        notification = None
        if self._channel is not None and pipeline.has_written:
            notification = Notification.of(self.writer_id, commit, self._pending.left)
        if notification is not None:
            # Behind the commit, not in it: a transaction that notifies commits alone in the whole
            # database. What a crash swallows, the others find by looking.
            pipeline.send(SQL.notify, (self._channel, notification.write()))
        try:
            pipeline.close()
        except psycopg.OperationalError as error:
            if told.statusmessage == "COMMIT":
                return True
            if not _is_gone(pipeline.connection, error):
                raise
            if not pipeline.has_written or not self._has_committed(number):
                raise _Lost(str(error)) from error
            return False
        return True

    def _has_committed(self, number: int) -> bool:
        """What came of a commit whose answer was lost."""
        log.warning("the connection was lost during a commit: asking what came of it")
        deadline = time.monotonic() + _WAIT_FOR_OUTCOME
        while True:
            self._drop()
            try:
                with self._connected().transaction():
                    execute = self._connection.execute  # type: ignore[union-attr]
                    execute(SQL.set_up_writing, set_up(self._search_path))
                    found = execute(SQL.find_mark, (self.writer_id,)).fetchone()
                break
            except (psycopg.OperationalError, CommitError) as error:
                if time.monotonic() > deadline:
                    raise CommitError(
                        "the connection was lost during the commit, and it could not be learned "
                        f"what came of it: {error}"
                    ) from error
                time.sleep(_RECONNECT_EVERY)
        if found is None:
            raise CommitError("the connection was lost during the commit; its outcome is unknown")
        return bool(found[0] == number)

    def rollback(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.abandon()

    def may_retry(self, error: Exception, tries: int) -> bool:
        if tries >= _TRIES:
            return False
        if isinstance(error, errors.ReadOnlySqlTransaction):  # the primary is another one now
            self._drop()
            return True
        if isinstance(error, _Lost):
            return True
        if self._connection is None or _is_gone(self._connection, error):
            self._drop()
            return isinstance(error, OUT_OF_REACH)
        if not isinstance(error, _TRY_AGAIN):
            return False
        time.sleep(_FIRST_PAUSE * 2**tries * random.random())  # noqa: S311 - so that they part
        return True

    def explain(self, error: Exception) -> Exception:
        if isinstance(error, _DATABASE_ERRORS):
            unavailable = StoreUnavailable(f"the database cannot be written: {error}")
            unavailable.__cause__ = error
            return unavailable
        return error

    def close(self) -> None:
        """Add what this writer counted to the counts of those that are gone, and disconnect."""
        try:
            with self._connected() as connection, connection.transaction():
                connection.execute(SQL.set_up_writing, set_up(self._search_path))
                connection.execute(SQL.fold_writers, (as_json([self.writer_id]),))
                connection.execute(SQL.forget_writers, (as_json([self.writer_id]),))
        except (psycopg.Error, CommitError) as error:
            log.warning("could not tidy up before closing: %s", error)  # whoever comes next does
        self._drop()

    def _open_pipeline(self) -> Pipeline:
        if self._pipeline is None:
            raise CommitError("no transaction is open")
        return self._pipeline

    def _connected(self) -> Connection:
        """The connection, made anew if it was lost. Raises `CommitError`."""
        if self._connection is not None and not self._connection.closed:
            return self._connection
        self._drop()
        now = time.monotonic()
        if self._failed_at is not None and now - self._failed_at < _RECONNECT_EVERY:
            raise CommitError("the database is out of reach")
        try:
            connection = connect(self._url)
            self._has_session = not is_pooled(connection)
            if self._has_session:
                connection.execute(SQL.limit_transactions)
                connection.execute(SQL.set_up_writing, set_up(self._search_path, is_local=False))
            with connection.transaction():
                connection.execute(SQL.set_up_writing, set_up(self._search_path))
                connection.execute(SQL.add_writer, (self.writer_id,))
        except psycopg.Error as error:
            self._failed_at = time.monotonic()
            raise CommitError(f"the database is out of reach: {error}") from error
        self._failed_at = None
        self._connection = connection
        return connection

    def _drop(self) -> None:
        self._cached_heads.clear()
        self._has_session = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _is_gone(connection: Connection, error: Exception) -> bool:
    """Whether the connection has ended, or is about to."""
    return bool(connection.closed) or isinstance(error, _ENDING)
