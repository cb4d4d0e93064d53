"""Numbered schema migrations."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corvo_server.store.migrate import (
    Migration,
    NewerSchemaError,
    load_migrations,
    pending_migrations,
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """An empty package for migrations."""
    name = f"migrations_{abs(hash(tmp_path))}"
    (tmp_path / name).mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    yield name, tmp_path / name
    sys.modules.pop(name, None)


def test_migrations_are_read_in_their_order(package: tuple[str, Path]) -> None:
    name, directory = package
    (directory / "0002_more.sql").write_text("B")
    (directory / "0001_first_steps.sql").write_text("A")
    (directory / "README.md").write_text("not one")
    assert load_migrations(name) == [
        Migration(1, "first_steps", "A"),
        Migration(2, "more", "B"),
    ]


@pytest.mark.parametrize(
    "files", [["0002_a.sql"], ["0001_a.sql", "0003_b.sql"], ["0001_a.sql", "0001_b.sql"]]
)
def test_gap_or_duplicate_in_the_numbers_is_an_error(
    package: tuple[str, Path], files: list[str]
) -> None:
    name, directory = package
    for file in files:
        (directory / file).write_text("")
    with pytest.raises(ValueError, match="not numbered"):
        load_migrations(name)


def test_pending_migrations_are_above_the_current_version() -> None:
    migrations = [Migration(number, str(number), "") for number in (1, 2, 3)]
    assert pending_migrations(migrations, 0) == migrations
    assert pending_migrations(migrations, 2) == migrations[2:]
    assert pending_migrations(migrations, 3) == []


def test_newer_schema_is_refused_with_advice() -> None:
    with pytest.raises(NewerSchemaError) as caught:
        pending_migrations([Migration(1, "a", "")], 5)
    message = str(caught.value)
    assert "version 5" in message
    assert "up to 1" in message
    assert "newer corvo-server" in message
    assert "backup" in message


def test_newer_schema_is_accepted_if_it_is_compatible() -> None:
    known = [Migration(number, str(number), "") for number in (1, 2)]
    assert pending_migrations(known, 4, oldest=2) == []
    with pytest.raises(NewerSchemaError):
        pending_migrations(known, 4, oldest=3)


def test_migration_names_the_oldest_compatible_schema_version() -> None:
    assert Migration(4, "a", "-- works with servers of schema version: 2\nSELECT 1").oldest == 2
    assert Migration(4, "b", "-- A comment.\nSELECT 1").oldest == 4
