"""Permissions of the data directory and its files: only the user of the server has any.

Files are created private, so that no umask makes them readable for a moment. SQLite gives its
write-ahead log and its shared memory the permissions of the database file.
"""

import logging
import os
import stat
import sys
from itertools import chain
from pathlib import Path

from corvo_server.store.sqlite.durable import make_directory

log = logging.getLogger(__name__)

PRIVATE_FILE = stat.S_IRUSR | stat.S_IWUSR
_PRIVATE_DIRECTORY = stat.S_IRWXU
_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OWN_FILES = ("corvo.*", "*.db", "*.db-wal", "*.db-shm", "*.db.partial")
"""Patterns of the server's files in the data directory, backups included."""

if sys.platform != "win32":
    from os import geteuid


def create_private_file(path: Path) -> None:
    """Create an empty file that only this user may use. Do nothing if `path` exists.

    An existing file is not opened: closing it would release SQLite's locks in this process.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
    except FileExistsError:
        return


def create_private_directory(path: Path) -> None:
    """Create a directory that only this user may use, and its parents with default permissions.

    They survive a power cut.
    """
    make_directory(path, _PRIVATE_DIRECTORY)


def make_private(data_dir: Path) -> None:
    """Take the permissions of group and others from the data directory and the files in it.

    Leave what another user owns, and a directory with the sticky bit, which users share. A file
    system that refuses the change causes a warning.
    """
    if sys.platform == "win32":
        return
    files = chain.from_iterable(data_dir.glob(pattern) for pattern in _OWN_FILES)
    refused = [error for path in {data_dir, *files} if (error := _restrict(path)) is not None]
    if refused:
        log.warning(
            "other users may read %s: its permissions cannot be changed (%s)", data_dir, refused[0]
        )


def _restrict(path: Path) -> OSError | None:
    """Make one file or directory private. Return the error if that failed."""
    try:
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        is_shared = stat.S_ISDIR(found.st_mode) and mode & stat.S_ISVTX
        if mode & _OF_OTHERS and found.st_uid == geteuid() and not is_shared:
            path.chmod(mode & ~_OF_OTHERS)
    except FileNotFoundError:  # SQLite removes its files when their last connection closes
        return None
    except OSError as error:
        return error
    return None
