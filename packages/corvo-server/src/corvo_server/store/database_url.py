"""Database URLs: how to read them, and how to show them without their passwords."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

POSTGRES = ("postgresql", "postgres")
HIDDEN = "***"

_IN_AUTHORITY = re.compile(r"(?<=://)(?P<user>[^:@/?#]*):[^@/?#]*@")
_IN_QUERY = re.compile(r"(?P<name>(?:^|[?&])(?:ssl)?password=)[^&#]*", re.IGNORECASE)


def is_postgres(url: str) -> bool:
    """Return True for the URL of a PostgreSQL database, False for one of SQLite.

    Raises `ValueError` for any other URL.
    """
    scheme = url.partition("://")[0].lower()
    if scheme in POSTGRES:
        return True
    if scheme == "sqlite":
        sqlite_directory(url)
        return False
    raise ValueError("must be like postgresql://user@host/name or sqlite:///corvo-data")


def sqlite_directory(url: str) -> Path:
    """Return the data directory of `sqlite:///relative` or `sqlite:////absolute`.

    If the path ends with the database file (`.db`), return its parent directory. Raises
    `ValueError` for any other URL.
    """
    parts = urlsplit(url)
    path = Path(unquote(parts.path.removeprefix("/")))
    if parts.netloc or not parts.path.removeprefix("/") or parts.query:
        raise ValueError("must be like sqlite:///corvo-data or sqlite:////var/lib/corvo")
    return path.parent if path.suffix == ".db" else path


def masked(url: str) -> str:
    """Return the URL with every password in it replaced by `***`."""
    shown = _IN_AUTHORITY.sub(rf"\g<user>:{HIDDEN}@", url)
    return _IN_QUERY.sub(rf"\g<name>{HIDDEN}", shown)
