"""Reading wheels and sdists."""

import email
import subprocess
import zipfile
from email.message import Message
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("corvo-schema", "corvo-server", "corvo-client", "corvo-cli")


class Wheel(NamedTuple):
    """A wheel: its file, the files in it, and what it says of itself."""

    path: Path
    files: frozenset[str]
    metadata: Message

    @property
    def version(self) -> str:
        """As it is in the metadata."""
        return str(self.metadata["Version"])


def wheel_of(package: str, built: Path) -> Wheel:
    """The one wheel of a package."""
    (path,) = built.glob(f"{package.replace('-', '_')}-*.whl")
    with zipfile.ZipFile(path) as archive:
        files = frozenset(archive.namelist())
        (metadata,) = (name for name in files if name.endswith(".dist-info/METADATA"))
        return Wheel(path, files, email.message_from_bytes(archive.read(metadata)))


def sdist_of(package: str, built: Path) -> Path:
    """The one sdist of a package."""
    (path,) = built.glob(f"{package.replace('-', '_')}-*.tar.gz")
    return path


def unpacked(sdist: Path, into: Path) -> Path:
    """Unpack an sdist; the directory that it has its files in."""
    into.mkdir()
    # Not by tarfile: what extracts safely without a warning differs from Python to Python.
    subprocess.run(["/bin/tar", "--extract", "--file", sdist, "--directory", into], check=True)
    (top,) = into.iterdir()
    return top


def extras_of(wheel: Wheel) -> list[str]:
    """The names of its extras."""
    return [str(extra) for extra in wheel.metadata.get_all("Provides-Extra", [])]
