"""The numbered, forward-only migrations of a store, read from its `migrations` package.

A migration that older servers can work with states the oldest such schema version in its first
line: `-- works with servers of schema version: 1`. Servers on a shared database are replaced one by
one, so the servers of the previous release must be able to keep working and to restart.
"""

import re
from importlib.resources import files
from typing import NamedTuple

from corvo_server.store.protocol import UnusableStoreError

_WORKS_WITH = re.compile(r"-- works with servers of schema version: (\d+)\n")


class Migration(NamedTuple):
    """One migration of the schema. Versions count from 1 without gaps."""

    version: int
    name: str
    script: str

    @property
    def oldest(self) -> int:
        """The lowest schema version with which a server can work on the migrated schema."""
        found = _WORKS_WITH.match(self.script)
        return int(found[1]) if found else self.version


class NewerSchemaError(UnusableStoreError):
    """Raised when a newer server than this one has migrated the database."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"The database has schema version {found}, but this server knows versions up to "
            f"{known}. It was written by a newer corvo-server. Install that version (or a newer "
            "one), or restore a backup taken before the upgrade."
        )


def load_migrations(package: str) -> list[Migration]:
    """Return the migrations in `package` in order, from files named `0001_what_it_does.sql`.

    Raises `ValueError` if they are not numbered without gaps.
    """
    found = sorted(
        (file for file in files(package).iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    migrations = [
        Migration(int(file.name[:4]), file.name[5:-4], file.read_text(encoding="utf-8"))
        for file in found
    ]
    if [migration.version for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise ValueError(f"{package}: migrations are not numbered 1, 2, 3, …")
    return migrations


def pending_migrations(
    migrations: list[Migration], current: int, oldest: int | None = None
) -> list[Migration]:
    """Return the migrations with a version above `current` (0 for an empty database).

    `oldest` is the lowest schema version with which a server can work on the database; None if only
    `current` will do. Raises `NewerSchemaError` if this server cannot work on the database.
    """
    known = len(migrations)
    if current > known and (oldest is None or oldest > known):
        raise NewerSchemaError(current, known)
    return migrations[current:]
