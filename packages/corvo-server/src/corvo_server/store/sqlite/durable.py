"""Create and replace files so that they survive a power cut."""

import errno
import os
from contextlib import suppress
from pathlib import Path


def sync(path: Path) -> None:
    """Write a file, or the entries of a directory, to stable storage. Raises `OSError`.

    Do nothing for a directory if the system or its file system cannot sync directories.
    """
    is_directory = path.is_dir()
    if os.name == "nt" and is_directory:
        return  # Windows cannot open directories
    descriptor = os.open(path, os.O_RDONLY if is_directory else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (is_directory and error.errno == errno.EINVAL):
            raise
    finally:
        os.close(descriptor)


def replace(source: Path, target: Path) -> None:
    """Rename `source` to `target` in the same directory, durably. Raises `OSError`."""
    source.replace(target)
    sync(target.parent)


def make_directory(path: Path, mode: int = 0o777) -> None:
    """Create a directory with `mode` and its missing parents, durably. Raises `OSError`."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=mode, exist_ok=True)
    # A file is only as durable as the entries of the directories above it. A parent that this user
    # may not read cannot be synced.
    with suppress(PermissionError):
        sync(path.parent)


def beside(path: Path, suffix: str) -> Path:
    """Return the path of the same name with `suffix` appended."""
    return path.with_name(path.name + suffix)
