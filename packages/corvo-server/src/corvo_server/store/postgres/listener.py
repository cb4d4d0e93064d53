"""Learn of the commits of other servers, by notifications and by polling.

A thread listens on its own connection. It also polls the database, because a notification can be
lost: the sending server may crash, or the connection may break. Without notifications, polling is
the only way, and it is more frequent.
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
"""Seconds between polls while notifications arrive."""
POLL_SECONDS_ALONE = 0.25
"""Seconds between polls without notifications, or if they may not arrive."""
_PAUSE = 0.5
"""Seconds between attempts to connect."""


class Listener:
    """Calls `deliver`, on its own thread, with a `Commit` for each change by another server."""

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
        """Prepare the thread; `start` starts it.

        `channel` is the NOTIFY channel, None without notifications. Notifications from `writer_id`,
        the writer of this server, are ignored. `poll_seconds` is the time between two polls.
        """
        self._url = url
        self._deliver = deliver
        self._search_path = search_path(schema)
        self._channel = channel
        self._writer_id = writer_id
        self._poll_seconds = poll_seconds
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="corvo-listener", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and wait until it has ended."""
        self._is_closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        is_connected = True
        while not self._is_closed.is_set():
            try:
                with connect(self._url) as connection:
                    is_connected = True
                    self._listen(connection)
            except psycopg.Error as error:
                if is_connected:  # one warning, not one for each attempt to reconnect
                    log.warning(
                        "the listener lost the database and reconnects every %g s; fetches here "
                        "do not learn of jobs from other servers until then: %s",
                        _PAUSE,
                        error,
                    )
                is_connected = False
                self._is_closed.wait(_PAUSE)

    def _listen(self, connection: Connection) -> None:
        every = self._poll_seconds
        if self._channel is not None:
            if is_pooled(connection):
                every = min(every, POLL_SECONDS_ALONE)
                log.info(
                    "the database is behind a connection pooler, which may not pass on "
                    "notifications: polling every %g s; set --database-listen-url to a URL without "
                    "the pooler",
                    every,
                )
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        next_poll = 0.0
        while not self._is_closed.is_set():
            if time.monotonic() >= next_poll:
                self._poll(connection)
                next_poll = time.monotonic() + every
            # Wait in steps of 0.1 s, so that `close` does not wait for the next poll.
            wait = min(0.1, max(0.0, next_poll - time.monotonic()))
            if self._channel is None:
                self._is_closed.wait(wait)
                continue
            for notification in connection.notifies(timeout=wait):
                self._handle(notification.payload, connection)
                if self._is_closed.is_set():
                    return

    def _handle(self, payload: str, connection: Connection) -> None:
        """Deliver a notification; poll instead if it does not contain the details."""
        notification = Notification.read(payload)
        if notification is None or notification.is_cut:
            self._poll(connection)
        elif notification.writer != self._writer_id:
            self._deliver(notification.as_commit())

    def _poll(self, connection: Connection) -> None:
        """Deliver the current state of all queues and times, as if one commit had written it."""
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
            # Always true: an event that was above the bound of a reader (events.py) may be below it
            # now, although no event was added since.
            commit.has_events = True
            pipeline.send("COMMIT")
            pipeline.close()
        except BaseException:
            pipeline.abandon()
            raise
        self._deliver(commit)
