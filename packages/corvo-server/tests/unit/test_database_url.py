"""Database URLs: parsing, and hiding of passwords."""

from pathlib import Path

import pytest

from corvo_server.store.database_url import is_postgres, masked, sqlite_directory


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://corvo@db/corvo", "postgresql://corvo@db/corvo"),
        ("postgresql://corvo:s3cret@db/corvo", "postgresql://corvo:***@db/corvo"),
        ("postgres://corvo:s3:cr%40et@db:5433/corvo", "postgres://corvo:***@db:5433/corvo"),
        ("postgresql://:s3cret@db/corvo", "postgresql://:***@db/corvo"),
        (
            "postgresql://corvo:s3cret@a:1,b:2/corvo?target_session_attrs=read-write",
            "postgresql://corvo:***@a:1,b:2/corvo?target_session_attrs=read-write",
        ),
        (
            "postgresql:///corvo?host=/run&password=s3cret",
            "postgresql:///corvo?host=/run&password=***",
        ),
        (
            "postgresql://db/corvo?password=s3cret&sslpassword=s3cret&sslmode=require",
            "postgresql://db/corvo?password=***&sslpassword=***&sslmode=require",
        ),
        ("sqlite:////var/lib/corvo", "sqlite:////var/lib/corvo"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert masked(url) == shown
    assert "s3" not in masked(url)


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("sqlite:///corvo-data", "corvo-data"),
        ("sqlite:////var/lib/corvo", "/var/lib/corvo"),
        ("sqlite:////var/lib/corvo/corvo.db", "/var/lib/corvo"),
        ("sqlite:///with%20blank", "with blank"),
    ],
)
def test_a_sqlite_url_names_a_directory(url: str, directory: str) -> None:
    assert not is_postgres(url)
    assert sqlite_directory(url) == Path(directory)


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite://host/path", "mysql://x", "x", ""]
)
def test_an_invalid_database_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be like"):
        is_postgres(url)


@pytest.mark.parametrize(
    "url", ["postgresql://a:1,b:2/corvo", "postgres://x", "postgresql:///x?host=/run"]
)
def test_a_postgresql_url_is_recognized(url: str) -> None:
    assert is_postgres(url)
