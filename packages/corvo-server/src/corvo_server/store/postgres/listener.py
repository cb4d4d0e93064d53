"""What other servers do to the database, as notification for those who wait here.

A thread with a connection of its own hears their notifications. It also looks for itself now and
then, since a notification may be lost: with the server that was about to send it, or with the
connection. Without notifications, looking is all there is, and done more often.
"""

import logging
import threading
import time
from collections.abc import Callable

import psycopg
from psycopg import sql

from corvo_server.store.postgres.database import connect, is_pooled, search_path
from corvo_server.store.postgres.maintenance import next_times
from corvo_server.store.postgres.notifications import Notification
from corvo_server.store.postgres.pipeline import Connection, Pipeline
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.records import Commit

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often to look where notifications are heard."""
POLL_SECONDS_ALONE = 0.25
"""How often to look where there may be none."""
_PAUSE = 0.5
"""Seconds between attempts to connect."""


class Listener:
    """Tells `deliver`, on its own thread, what concerns those who wait."""

    def __init__(
        self,
        url: str,
        deliver: Callable[[Commit], None],
        *,
        schema: str,
        channel: str | None,
        writer_id: str,
        poll_seconds: float,
    ) -> None:
        """`channel` is None where there are no notifications; `writer_id` is who we are."""
        self._url = url
        self._deliver = deliver
        self._search_path = search_path(schema)
        self._channel = channel
        self._writer_id = writer_id
        self._poll_seconds = poll_seconds
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="corvo-listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait until it has."""
        self._is_closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        is_well = True
        while not self._is_closed.is_set():
            try:
                with connect(self._url) as connection:
                    is_well = True
                    self._listen(connection)
            except psycopg.Error as error:
                if is_well:
                    log.warning("notification of other servers do not arrive: %s", error)
                is_well = False
                self._is_closed.wait(_PAUSE)

    def _listen(self, connection: Connection) -> None:
        every = self._poll_seconds
        if self._channel is not None:
            if is_pooled(connection):
                every = min(every, POLL_SECONDS_ALONE)
                log.info(
                    "there is a pooler before the database, through which notifications may not "
                    "come: looking for notification every %g s; --database-listen-url names a way past it",
                    every,
                )
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        next_look = 0.0
        while not self._is_closed.is_set():
            if time.monotonic() >= next_look:
                self._look(connection)
                next_look = time.monotonic() + every
            # Not all at once until the next look: a stop must not wait for that.
            wait = min(0.1, max(0.0, next_look - time.monotonic()))
            if self._channel is None:
                self._is_closed.wait(wait)
                continue
            for notification in connection.notifies(timeout=wait):
                self._hear(notification.payload, connection)
                if self._is_closed.is_set():
                    return

    def _hear(self, payload: str, connection: Connection) -> None:
        notification = Notification.read(payload)
        if notification is None or notification.is_cut:
            self._look(connection)
        elif notification.writer != self._writer_id:
            self._deliver(notification.as_commit())

    def _look(self, connection: Connection) -> None:
        """Tell what there is, as if it had just come."""
        pipeline = Pipeline(connection)
        try:
            pipeline.open()
            pipeline.send(SQL.begin_reading_fresh)
            pipeline.send(SQL.set_up_reading, (self._search_path, "10s"))
            ready = pipeline.request(SQL.ready_queues)
            times = next_times(pipeline)
            commit = Commit(
                [], dict(ready()), set(), {}, times, is_from_other_node=True, has_bulk=True
            )
            # Also where nothing was added: what could not be read before may be readable by now.
            commit.has_events = True
            pipeline.send("COMMIT")
            pipeline.close()
        except BaseException:
            pipeline.abandon()
            raise
        self._deliver(commit)
