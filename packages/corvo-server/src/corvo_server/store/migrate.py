"""The numbered, forward-only migrations of a store, read from its `migrations` package."""

from importlib.resources import files
from typing import NamedTuple

from corvo_server.store.protocol import UnusableStoreError


class Migration(NamedTuple):
    """One step of the schema. `version` counts from 1 without gaps."""

    version: int
    name: str
    script: str


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


def pending_migrations(migrations: list[Migration], current: int) -> list[Migration]:
    """Those still to be applied to a schema of version `current` (0: empty)."""
    known = len(migrations)
    if current > known:
        raise NewerSchemaError(current, known)
    return migrations[current:]
