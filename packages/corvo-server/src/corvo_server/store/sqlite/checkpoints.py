"""Checkpoints of the watch: they show whether the write-ahead log can be moved to the database.

SQLite runs a checkpoint within a commit every 4000 pages and does not report its failure. The watch
runs its own ones, on its own connection and thread.
"""

import logging
import sqlite3
from contextlib import suppress
from pathlib import Path

from corvo_server.store.sqlite.notice import Notice
from corvo_server.store.sqlite.space import Space, is_full

log = logging.getLogger(__name__)

_FAILING_AFTER = 30.0
"""Seconds of failing checkpoints after which the server is not ready."""


class Checkpoints:
    """Runs checkpoints that wait for nobody, and records their failures. Used by one thread."""

    def __init__(self, path: Path, space: Space) -> None:
        self._space = space
        self.failures = 0
        """Number of failed checkpoints since the start."""
        self.held_since: float | None = None
        """Time since which a reader has held back the log; None if none does."""
        self._failing_since: float | None = None
        self._error = ""
        self._progress = (0, 0)
        self._notice = Notice(log, logging.WARNING, "checkpoints succeed again")
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # SQLite opens the log at the first read. Later there may be another file of that name.
        self._connection.execute("PRAGMA schema_version").fetchone()

    @property
    def is_failing(self) -> bool:
        """Whether the last checkpoint failed."""
        return self._failing_since is not None

    def run(self, now: float) -> None:
        """Move as much of the log to the database as readers allow."""
        try:
            row = self._checkpoint()
        except sqlite3.Error as error:
            self._fail(str(error), now)
            return
        is_busy, in_log, done = row
        if is_busy:  # the writer runs a checkpoint itself
            return
        self._failing_since = None
        self._notice.note(None, now)
        is_stuck = done < in_log and self._progress[1] == done and self._progress[0] <= in_log
        if not is_stuck:
            self.held_since = now if done < in_log else None
        self._progress = (in_log, done)

    def _checkpoint(self) -> tuple[int, int, int]:
        """Run one checkpoint, on the space of the reserve if the disk is full."""
        statement = "PRAGMA wal_checkpoint(PASSIVE)"
        try:
            row: tuple[int, int, int] = self._connection.execute(statement).fetchone()
        except sqlite3.Error as error:
            if not (is_full(error) and self._space.reserve.release()):
                raise
            row = self._connection.execute(statement).fetchone()
        return row

    def measure_space(self) -> None:
        """Measure the space of the database, and keep its reserve."""
        with suppress(sqlite3.Error):
            self._space.measure(self._connection)
        self._space.keep_reserve()

    def problem(self, now: float) -> str | None:
        """Return why checkpoints have failed for 30 seconds; None if they have not."""
        since = self._failing_since
        if since is None or now - since < _FAILING_AFTER:
            return None
        return f"checkpoints have failed for {now - since:.0f} s: {self._error}"

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _fail(self, error: str, now: float) -> None:
        self.failures += 1
        self._error = error
        if self._failing_since is None:
            self._failing_since = now
        self._notice.note(
            f"a checkpoint failed: {error}. The write-ahead log grows until one succeeds. Check "
            "the disk of the data directory.",
            now,
        )
