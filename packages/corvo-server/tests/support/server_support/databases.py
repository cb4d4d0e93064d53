"""Databases for single tests on a shared PostgreSQL server, optionally behind a pooler."""

import os
from itertools import count
from urllib.parse import urlsplit, urlunsplit

from server_support.pgbouncer import PgBouncer
from server_support.postgres import execute

_numbers = count(1)


class Databases:
    """Creates and drops databases on one server."""

    def __init__(self, server_url: str, pooler: PgBouncer | None = None) -> None:
        """`server_url` does not go through `pooler`."""
        self.server_url = server_url
        self.pooler = pooler
        self._made: list[str] = []

    def create(self, template: str | None = None) -> str:
        """Create a database, empty or as a copy of `template`, and return its URL.

        Nobody may be connected to the template.
        """
        name = f"corvo_test_{os.getpid()}_{next(_numbers)}"
        like = f" TEMPLATE {_name_in(template)}" if template else ""
        execute(self.server_url, f"CREATE DATABASE {name}{like}")
        self._made.append(name)
        url = self._url(name)
        return url if self.pooler is None else self.pooler.url(url)

    def direct(self, url: str) -> str:
        """Return the URL of the same database without the pooler."""
        return self._url(_name_in(url))

    def drop(self, url: str) -> None:
        """Drop a database, and end all connections to it."""
        name = _name_in(url)
        if name in self._made:
            self._made.remove(name)
            execute(self.server_url, f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """Drop all databases that were created and not dropped."""
        for name in list(self._made):
            self.drop(self._url(name))

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.server_url)._replace(path=f"/{name}"))


def _name_in(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")
