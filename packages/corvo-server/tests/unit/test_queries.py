"""Named SQL statements."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from corvo_server.store.rows.queries import load_queries


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """An empty package for `.sql` files."""
    name = f"sql_{abs(hash(tmp_path))}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield name, tmp_path / name
    sys.modules.pop(name, None)


def test_statements_are_found_by_name_in_all_files(package: tuple[str, Path]) -> None:
    name, directory = package
    (directory / "a.sql").write_text(
        "-- A comment that belongs to no statement.\n"
        "-- name: first\nSELECT 1;\n\n-- name: second\nSELECT 2\nFROM t\nWHERE x = ';';\n"
    )
    (directory / "b.sql").write_text("-- name: third\n-- why\nSELECT 3;\n")
    (directory / "notes.txt").write_text("-- name: fourth\nSELECT 4;")
    queries = load_queries(name)
    assert vars(queries) == {
        "first": "SELECT 1",
        "second": "SELECT 2\nFROM t\nWHERE x = ';'",
        "third": "-- why\nSELECT 3",
    }


def test_duplicate_name_is_an_error(package: tuple[str, Path]) -> None:
    name, directory = package
    (directory / "a.sql").write_text("-- name: same\nSELECT 1;\n")
    (directory / "b.sql").write_text("-- name: same\nSELECT 2;\n")
    with pytest.raises(ValueError, match=r"b\.sql: two statements are named 'same'"):
        load_queries(name)


def test_unknown_name_is_an_error_when_used(package: tuple[str, Path]) -> None:
    with pytest.raises(AttributeError, match="missing"):
        _ = load_queries(package[0]).missing
