"""A thread that looks every second at the files, the disk and the write-ahead log."""

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from corvo_server.store.sqlite.checkpoints import Checkpoints
from corvo_server.store.sqlite.files import DataFiles, size_of
from corvo_server.store.sqlite.notice import Notice
from corvo_server.store.sqlite.readers import Readers
from corvo_server.store.sqlite.space import Space
from corvo_server.store.storage import Storage

log = logging.getLogger(__name__)

_EVERY = 1.0
"""Seconds between two looks."""
_IDLE = 10.0
"""Seconds between two probes while no commit is made, and between two checkpoints."""
_OVERDUE = 15.0
"""Seconds after which a look that has not returned means that the disk does not answer."""
_PROBE_NAME = "corvo.probe"
_PROBE_BYTES = 64 * 1024
_CHECKPOINT_BYTES = 48 * 1024 * 1024
"""Size of the log above which a checkpoint runs every second: three times its usual size."""
_LARGE_LOG = 64 * 1024 * 1024
"""Size of the log above which a line says what holds it back."""
_LOW_DISK = 256 * 1024 * 1024
"""Free bytes below which a line warns of the disk."""


class Watch:
    """Watches the files of one database. `look` runs on its own thread, once started."""

    def __init__(
        self,
        files: DataFiles,
        pools: Sequence[Readers],
        clock: Callable[[], float] = time.monotonic,
        space: Space | None = None,
    ) -> None:
        """`pools` are the readers of this server; `clock` is in seconds."""
        self._files = files
        self._space = space or Space(files.database)
        self._pools = pools
        self._clock = clock
        self._checkpoints = Checkpoints(files.database, self._space)
        self._probe_error: str | None = None
        self._probed_at = self._checkpointed_at = self._looked_at = clock()
        self._written: int | None = None
        self._is_log_new = False
        self._loss = Notice(log, logging.ERROR, "the files of the database are back")
        self._failed_probe = Notice(log, logging.ERROR, "the data directory can be written again")
        self._large_log = Notice(log, logging.WARNING, "the write-ahead log is small again")
        self._full = Notice(log, logging.ERROR, "the disk has space for new jobs again")
        self._low_disk = Notice(log, logging.WARNING, "the disk has enough free space again")
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="corvo-watch", daemon=True)
        self.storage = self._measure(clock())
        """The sizes and times of the last look."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, if it was started, and close the connection."""
        self._is_ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._checkpoints.close()

    def problem(self) -> str | None:
        """Return why the database cannot be relied on for writes; None if it can."""
        now = self._clock()
        silence = now - self._looked_at
        if silence > _OVERDUE:
            return f"the disk of the data directory has not answered for {silence:.0f} s"
        return (
            self._files.compare()
            or self._full_disk()
            or self._probe_error
            or self._checkpoints.problem(now)
        )

    def look(self) -> None:
        """Look at everything once, and log what is wrong."""
        now = self._clock()
        loss = self._files.compare()
        self._loss.note(loss, now)
        is_idle = not self._has_written()
        is_due = now - self._probed_at >= _IDLE
        if self._probe_error is not None or (is_idle and is_due):
            self._probe(now)
        elif not is_idle:
            self._probed_at = now
        if self._needs_checkpoint(now, is_lost=loss is not None):
            self._checkpointed_at = now
            self._is_log_new = False
            self._checkpoints.run(now)
        self.storage = self._measure(now)
        self._note_sizes(now)
        self._looked_at = self._clock()

    def _run(self) -> None:
        while not self._is_ended.wait(_EVERY):
            try:
                self.look()
            except Exception:
                log.exception("the watch of the data directory failed; it continues in a second")

    def _has_written(self) -> bool:
        """Return whether a commit was made since the last call."""
        written: int | None = None
        with suppress(OSError):
            written = self._files.log.stat().st_mtime_ns
        has_written = written != self._written
        self._written = written
        self._is_log_new = self._is_log_new or has_written
        return has_written

    def _probe(self, now: float) -> None:
        """Write and fsync a new file, because overwriting an old one works on a full disk."""
        self._probed_at = now
        path = self._files.directory / _PROBE_NAME
        try:
            with suppress(FileNotFoundError):
                path.unlink()
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                # Random bytes, because some file systems store no zeros.
                if os.write(descriptor, os.urandom(_PROBE_BYTES)) < _PROBE_BYTES:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                path.unlink()
            self._probe_error = None
        except OSError as error:
            self._probe_error = f"the data directory cannot be written: {error}"
        self._failed_probe.note(self._probe_error, now)

    def _needs_checkpoint(self, now: float, *, is_lost: bool) -> bool:
        if is_lost:
            # The log is gone, but this process has it open: save its content to the database.
            return self._files.has_database
        is_wanted = self._is_log_new or self._checkpoints.is_failing
        is_due = now - self._checkpointed_at >= _IDLE
        return (is_wanted and is_due) or self.storage.log_bytes > _CHECKPOINT_BYTES

    def _full_disk(self) -> str | None:
        """Return why new jobs are refused; None if they are not."""
        last = self._space.last
        if not last.is_full:
            return None
        return (
            f"the disk of {self._files.directory} is too full for new jobs: "
            f"{last.free / 1e6:.1f} MB are left, for deletes and acks. Delete jobs, or free space "
            "on the disk"
        )

    def _measure(self, now: float) -> Storage:
        self._checkpoints.measure_space()
        held_since = self._checkpoints.held_since
        ages = [0.0 if held_since is None else now - held_since]
        ages += [pool.oldest_read() for pool in self._pools]
        return Storage(
            database_bytes=size_of(self._files.database),
            log_bytes=size_of(self._files.log),
            free_bytes=self._space.last.free,
            room_bytes=self._space.last.room,
            oldest_reader_seconds=max(ages),
            failed_checkpoints=self._checkpoints.failures,
        )

    def _note_sizes(self, now: float) -> None:
        storage = self.storage
        held_since = self._checkpoints.held_since
        large = None
        if storage.log_bytes > _LARGE_LOG and held_since is not None:
            large = (
                f"a reader has held back the write-ahead log for {now - held_since:.0f} s: it has "
                f"{storage.log_bytes / 1e6:.0f} MB and grows with every write. End the program "
                "that reads the database, such as a backup or a SQLite shell."
            )
        if large is not None or storage.log_bytes <= _LARGE_LOG:
            self._large_log.note(large, now)
        self._full.note(self._full_disk(), now)
        low = None
        if storage.free_bytes < _LOW_DISK:
            low = (
                f"the disk of {self._files.directory} has only {storage.free_bytes / 1e6:.0f} MB "
                f"free; the database has {storage.database_bytes / 1e6:.0f} MB and its log "
                f"{storage.log_bytes / 1e6:.0f} MB. Free space, or delete jobs."
            )
        self._low_disk.note(low, now)
