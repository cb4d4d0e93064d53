"""Routes paths whose names contain unescaped slashes.

Clients send a slash in a name as `%2F`. Some proxies decode it, so that the path has more segments
than its route. Such a path is routed as if the slashes of the name were escaped: its last segment
is a verb if the resource has a verb of that name, and all before it is the name.
"""

from collections.abc import Iterable
from typing import Any

from sanic.exceptions import NotFound
from sanic.router import Router
from sanic_routing.route import Route

from corvo_server.http.endpoint import Endpoint, Handler


class NameRouter(Router):
    """A router that finds the endpoints of names with slashes."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        """`endpoints` have a path that ends with a name, or with a name and a verb."""
        super().__init__()
        self._verbs: dict[str, set[str]] = {}
        for endpoint in endpoints:
            prefix, parameter, rest = endpoint.path.partition("<")
            if parameter:
                self._verbs.setdefault(prefix, set()).add(rest.partition(">")[2].lstrip("/"))

    def _get(
        self, path: str, method: str, host: str | None
    ) -> tuple[Route, Handler, dict[str, Any]]:
        try:
            return super()._get(path, method, host)
        except NotFound:
            escaped = self._escaped(path)
            if escaped is None:
                raise
        return super()._get(escaped, method, host)

    def _escaped(self, path: str) -> str | None:
        """Return the path with its name's slashes escaped; None if no name has slashes."""
        for prefix, verbs in self._verbs.items():
            if path.startswith(prefix):
                rest = path.removeprefix(prefix).removesuffix("/")
                name, _, verb = rest.rpartition("/")
                if verb not in verbs:
                    name, verb = rest, ""
                if "/" in name:
                    escaped = name.replace("/", "%2F")
                    return f"{prefix}{escaped}/{verb}" if verb else f"{prefix}{escaped}"
        return None
