"""Errors of PostgreSQL at the start are one sentence, without the password."""

import sys
from urllib.parse import urlsplit, urlunsplit

import pytest
from click.testing import CliRunner

from corvo_server import store
from corvo_server.cli import server
from server_support.postgres import execute, free_port

SECRET = "s3cret"


def start(url: str) -> str:
    """Start a server that must fail. Return its error message."""
    result = CliRunner().invoke(server, ["--bind", "127.0.0.1:0", "--database", url])
    assert result.exit_code == 1, result.output
    assert SECRET not in result.output
    assert "Traceback" not in result.output
    return result.output


def as_user(url: str, user: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{SECRET}@{place}"))


def test_unreachable_database_is_named() -> None:
    told = start(f"postgresql://corvo:{SECRET}@127.0.0.1:{free_port()}/corvo")
    assert "Cannot connect to postgresql://corvo:***@127.0.0.1" in told
    assert "Check that PostgreSQL is running there" in told


def test_unknown_database_is_named(empty_postgres_url: str) -> None:
    assert 'database "nowhere" does not exist' in start(
        urlunsplit(urlsplit(empty_postgres_url)._replace(path="/nowhere"))
    )


def test_missing_permission_for_the_schema_is_explained(empty_postgres_url: str) -> None:
    execute(empty_postgres_url, "DROP ROLE IF EXISTS nobody_much")
    execute(empty_postgres_url, "CREATE ROLE nobody_much LOGIN")
    told = start(as_user(empty_postgres_url, "nobody_much"))
    assert "lacks a privilege: permission denied for database" in told
    assert "Make it the owner of the schema" in told


def test_tables_of_a_newer_server_are_refused(postgres_url: str) -> None:
    execute(
        postgres_url,
        "INSERT INTO corvo.schema_migrations SELECT max(version) + 1, 'new', 0 "
        "FROM corvo.schema_migrations",
    )
    assert "was written by a newer corvo-server" in start(postgres_url)


def test_missing_driver_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    # The import below replaces the package in its parent; this puts the first one back afterwards.
    monkeypatch.setattr(store, "postgres", getattr(store, "postgres", None), raising=False)
    for name in [name for name in sys.modules if name.startswith("corvo_server.store.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    told = start("postgresql://db/corvo")
    assert "pip install 'corvo-server[postgres]'" in told
