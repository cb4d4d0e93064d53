"""Temporary data directories of local servers, and the removal of those that a kill left."""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_PREFIX = "corvo-local-server-"
_LOCK = "corvo.lock"
_MIN_AGE = 60.0
"""Seconds from which a directory can be a leftover. A new server may not have its lock yet."""


def new_folder() -> tempfile.TemporaryDirectory[str]:
    """Remove the directories of earlier runs that no server uses, and create a new one."""
    _remove_leftovers(Path(tempfile.gettempdir()))
    return tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another process may remove it at the same time
            if not folder.is_symlink() and _is_ours(folder) and _is_old(folder):
                _remove_unless_locked(folder)


def _is_ours(folder: Path) -> bool:
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()


def _is_old(folder: Path) -> bool:
    marker = folder / _LOCK
    changed = (marker if marker.exists() else folder).stat().st_mtime
    return time.time() - changed > _MIN_AGE


def _remove_unless_locked(folder: Path) -> None:
    from filelock import FileLock, Timeout  # noqa: PLC0415 - an extra

    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return
    try:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        lock.release()
