"""The numbered, forward-only migrations of a store, read from its `migrations` package.

A migration that leaves older servers able to work says so in its first line, by the oldest version
that a server has to know: `-- works with servers of schema version: 1`. So that servers can be
replaced one by one on a shared database, those of the release before must be able to go on, and to
start again.
"""

import re
from importlib.resources import files
from typing import NamedTuple

from corvo_server.store.protocol import UnusableStoreError

_WORKS_WITH = re.compile(r"-- works with servers of schema version: (\d+)\n")


class Migration(NamedTuple):
    """One step of the schema. `version` counts from 1 without gaps."""

    version: int
    name: str
    script: str

    @property
    def oldest(self) -> int:
        """The least version that a server must know to work on the schema after it."""
        found = _WORKS_WITH.match(self.script)
        return int(found[1]) if found else self.version


class NewerSchemaError(UnusableStoreError):
    """The database was written by a newer server than this one."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"The database has schema version {found}, this server knows versions up to {known}: "
            "it was written by a newer corvo-server. Install that version (or a newer one), "
            "or restore a backup taken before the upgrade."
        )


def load_migrations(package: str) -> list[Migration]:
    """The migrations in `package`, files named `0001_what_it_does.sql`, in order."""
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
    """Those still to be applied to a schema of version `current` (0: empty).

    `oldest` is the least version that a server must know to work on a schema that is newer than it;
    None where no server works beside a newer one. Raises `NewerSchemaError`.
    """
    known = len(migrations)
    if current > known and (oldest is None or oldest > known):
        raise NewerSchemaError(current, known)
    return migrations[current:]
