"""The reserve: a file beside the database that gives its space to deletes when the disk is full."""

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from corvo_server.store.sqlite.files import size_of
from corvo_server.store.sqlite.permissions import PRIVATE_FILE

log = logging.getLogger(__name__)

RESERVE_NAME = "corvo.reserve"
_STEP = 256 * 1024
"""Bytes by which the file grows at a time."""


class Reserve:
    """A file that only occupies space. The writer and the watch may use it at the same time."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / RESERVE_NAME

    @property
    def size(self) -> int:
        """Size of the file in bytes; 0 if there is none."""
        return size_of(self._path)

    def release(self) -> bool:
        """Remove the file. Return whether there was one."""
        try:
            self._path.unlink()
        except OSError:
            return False
        log.warning(
            "the disk is full: %s was removed, so that jobs can be deleted. Delete jobs, or free "
            "space on the disk; the server makes the file again when there is enough space",
            self._path,
        )
        return True

    def make(self, size: int) -> None:
        """Extend the file to `size` bytes, or as far as the disk has space."""
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY, PRIVATE_FILE)
            try:
                _extend(descriptor, size)
            finally:
                os.close(descriptor)


def _extend(descriptor: int, size: int) -> None:
    """Extend an open file to `size` bytes in steps, so that a full disk ends it at a known size."""
    start = os.fstat(descriptor).st_size
    for at in range(start, size, _STEP):
        step = min(_STEP, size - at)
        if sys.platform == "linux":
            os.posix_fallocate(descriptor, at, step)
        else:
            os.lseek(descriptor, at, os.SEEK_SET)
            os.write(descriptor, os.urandom(step))
