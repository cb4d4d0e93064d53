"""Where a database is, written as a URL. What is secret in one is shown to nobody."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

POSTGRES = ("postgresql", "postgres")
HIDDEN = "***"

_IN_AUTHORITY = re.compile(r"(?<=://)(?P<user>[^:@/?#]*):[^@/?#]*@")
_IN_QUERY = re.compile(r"(?P<name>(?:^|[?&])(?:ssl)?password=)[^&#]*", re.IGNORECASE)


def is_postgres(url: str) -> bool:
    """Whether it names a PostgreSQL database; else it is one of SQLite. Raises `ValueError`."""
    scheme = url.partition("://")[0].lower()
    if scheme in POSTGRES:
        return True
    if scheme == "sqlite":
        sqlite_directory(url)
        return False
    raise ValueError("must be like postgresql://user@host/name or sqlite:///corvo-data")


def sqlite_directory(url: str) -> Path:
    """The data directory that `sqlite:///relative` or `sqlite:////absolute` names.

    The name of the database file in it may follow. Raises `ValueError`.
    """
    parts = urlsplit(url)
    path = Path(unquote(parts.path.removeprefix("/")))
    if parts.netloc or not parts.path.removeprefix("/") or parts.query:
        raise ValueError("must be like sqlite:///corvo-data or sqlite:////var/lib/corvo")
    return path.parent if path.suffix == ".db" else path


def masked(url: str) -> str:
    """The URL as it may be shown: without passwords, wherever in it they stand."""
    shown = _IN_AUTHORITY.sub(rf"\g<user>:{HIDDEN}@", url)
    return _IN_QUERY.sub(rf"\g<name>{HIDDEN}", shown)
