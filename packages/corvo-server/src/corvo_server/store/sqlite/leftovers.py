"""Work files of backup and restore: lock them while in use, remove what a killed run left.

A work file `X` has a lock file `X.corvo-lock` while a process uses it. The operating system
releases the lock when the process ends, so a lock file that can be locked marks a leftover.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from corvo_server.store.sqlite.durable import beside
from corvo_server.store.sqlite.permissions import PRIVATE_FILE

log = logging.getLogger(__name__)

PARTIAL = ".partial"
RESTORING = ".restoring"
_LOCK = ".corvo-lock"
_OF_SQLITE = ("-wal", "-shm", "-journal")
_WORK_FILE = re.compile(r"(corvo\.restoring(?:\.partial)?|.+\.partial)(-wal|-shm|-journal)?")
_HEADS = (b"", bytes(16), b"SQLite format 3\0")
"""The first 16 bytes of a copy that was interrupted: nothing, not written yet, or the header."""


def is_reserved(name: str) -> bool:
    """Return whether a file with this name may be removed as a leftover."""
    return name.endswith(_LOCK) or _WORK_FILE.fullmatch(name) is not None


class InUseError(Exception):
    """Another process uses the work file."""


@contextmanager
def work_file(path: Path) -> Iterator[None]:
    """Lock a work file for the `with` block. No file is at `path` at the begin and at the end.

    Raises `InUseError` if another process has it, and `OSError`.
    """
    marker = beside(path, _LOCK)
    lock = FileLock(marker, mode=PRIVATE_FILE, thread_local=False)
    # The previous owner removes the lock file at its end. Then this lock is that of a removed file.
    while not (lock.is_locked and marker.exists()):
        lock.release()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InUseError(str(path)) from None
    try:
        _remove(path)
        yield
    finally:
        try:
            _remove(path)
            marker.unlink(missing_ok=True)
        except OSError as error:
            log.warning("cannot remove %s: %s; the next start removes it", path, error)
        finally:
            lock.release()


def remove_leftovers(directory: Path, *, is_data_dir: bool) -> None:
    """Remove work files that no process uses.

    In a data directory these are also files without a lock file: `corvo.restoring`, `*.db.partial`
    and other `*.partial` that are unfinished SQLite files. Failures are logged.
    """
    try:
        found = sorted(set(_work_files(directory, is_data_dir=is_data_dir)))
        for path in found:
            try:
                with work_file(path):
                    log.info("removed %s, which an interrupted command left", path)
            except InUseError:
                continue
    except OSError as error:
        log.warning("cannot remove the leftovers of interrupted commands: %s", error)


def _work_files(directory: Path, *, is_data_dir: bool) -> Iterator[Path]:
    for entry in directory.iterdir():
        if entry.name.endswith(_LOCK):
            yield entry.with_name(entry.name.removesuffix(_LOCK))
        elif is_data_dir and (match := _WORK_FILE.fullmatch(entry.name)) and entry.is_file():
            path = entry.with_name(match[1])
            if match[1].startswith("corvo.restoring") or _is_copy(path):
                yield path


def _is_copy(path: Path) -> bool:
    """Return whether a `*.partial` in the data directory is an interrupted copy of a database."""
    if path.name.endswith(".db" + PARTIAL) or not path.exists():
        return True
    with path.open("rb") as file:
        return file.read(16) in _HEADS


def _remove(path: Path) -> None:
    for suffix in ("", *_OF_SQLITE):
        beside(path, suffix).unlink(missing_ok=True)
