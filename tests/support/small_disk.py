"""A small file system in memory, in a mount namespace that ends with the test.

It needs root, or a kernel that lets users create namespaces.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_REQUIRED = "CORVO_REQUIRE_CLUSTER"
_MOUNT = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && echo mounted && exec cat'


class SmallDisk:
    """A file system of a few MB. Programs started with `prefix` see it at `path`."""

    def __init__(self, path: Path, pid: int, *, is_of_user: bool) -> None:
        self.path = path
        self._seen = Path(f"/proc/{pid}/root{path}")
        user = ["--user", "--preserve-credentials"] if is_of_user else []
        self.prefix = ["nsenter", "--target", str(pid), "--mount", *user, "--"]

    @property
    def free(self) -> int:
        """Free bytes."""
        return shutil.disk_usage(self._seen).free

    @property
    def size(self) -> int:
        """Size in bytes."""
        return shutil.disk_usage(self._seen).total

    def fill(self) -> None:
        """Write a file of other programs until no byte is free."""
        with suppress(OSError), (self._seen / "filler").open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        assert self.free == 0

    def clear(self) -> None:
        """Remove the file of `fill`."""
        (self._seen / "filler").unlink()

    def has(self, name: str) -> bool:
        """Return whether a file exists, by its path on this disk."""
        return (self._seen / name).exists()


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[SmallDisk]:
    """Mount a file system of `size` bytes, e.g. `48m`, at `path`. Skip the test if that fails.

    Fail it instead if `CORVO_REQUIRE_CLUSTER` is 1.
    """
    path.mkdir()
    is_of_user = os.geteuid() != 0
    namespaces = ["--mount", *(["--user", "--map-root-user"] if is_of_user else [])]
    try:
        holder = subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", _MOUNT, "sh", size, path],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except FileNotFoundError as error:
        _skip(str(error))
        raise
    with holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            said = holder.stdout.readline()
            if said != "mounted\n":
                _skip(f"no file system could be mounted: {said.strip()}")
            yield SmallDisk(path, holder.pid, is_of_user=is_of_user)
        finally:
            holder.stdin.close()


def _skip(reason: str) -> None:
    if os.environ.get(_REQUIRED):
        pytest.fail(f"{_REQUIRED} is set, and {reason}")
    pytest.skip(reason)
