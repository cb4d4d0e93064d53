"""Reads wheels and sdists."""

import email
import subprocess
import zipfile
from email.message import Message
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("corvo-schema", "corvo-server", "corvo-client", "corvo-cli")


class Wheel(NamedTuple):
    """A wheel: its path, the names of its files, and its metadata."""

    path: Path
    files: frozenset[str]
    metadata: Message

    @property
    def version(self) -> str:
        """The version in the metadata."""
        return str(self.metadata["Version"])


def wheel_of(package: str, built: Path) -> Wheel:
    """Return the wheel of a package."""
    (path,) = built.glob(f"{package.replace('-', '_')}-*.whl")
    with zipfile.ZipFile(path) as archive:
        files = frozenset(archive.namelist())
        (metadata,) = (name for name in files if name.endswith(".dist-info/METADATA"))
        return Wheel(path, files, email.message_from_bytes(archive.read(metadata)))


def sdist_of(package: str, built: Path) -> Path:
    """Return the sdist of a package."""
    (path,) = built.glob(f"{package.replace('-', '_')}-*.tar.gz")
    return path


def unpacked(sdist: Path, into: Path) -> Path:
    """Unpack an sdist and return its top directory."""
    into.mkdir()
    # The arguments for a safe extraction with tarfile differ between versions of Python.
    subprocess.run(["/bin/tar", "--extract", "--file", sdist, "--directory", into], check=True)
    (top,) = into.iterdir()
    return top


def extras_of(wheel: Wheel) -> list[str]:
    """Return the names of the extras of a wheel."""
    return [str(extra) for extra in wheel.metadata.get_all("Provides-Extra", [])]
