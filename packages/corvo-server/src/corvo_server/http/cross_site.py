"""Refuses requests that the web pages of other sites send to change something.

A browser sends such requests without asking, with the network access of its user. Only reading the
reply needs the permission of CORS.
"""

from collections.abc import Collection

from sanic import Request

from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError
from corvo_server.http.proxies import forwarded_host

READING = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": "80", "https": "443"}
_LONGEST_SHOWN = 100
"""Maximum characters of a refused origin in a message."""

HEADERS = frozenset({"origin", "sec-fetch-site"})
"""The headers that tell requests of web pages from those of programs."""


class Origins:
    """The origins whose web pages may call the API; `*` stands for all."""

    def __init__(self, allowed: Collection[str]) -> None:
        self.is_open = "*" in allowed
        self._allowed = frozenset(allowed)

    def allow(self, origin: str) -> bool:
        """Return whether web pages of `origin` may call the API."""
        return self.is_open or origin in self._allowed

    def check(self, request: Request) -> None:
        """Raise `CallError` if a page that is not allowed wants to change something."""
        sent = request.headers.getall("origin", [])
        if sent and all(map(self.allow, sent)):
            return
        for origin in sent:
            if not self.allow(origin) and not _is_own(origin, request):
                raise _refusal(f"pages of the origin {origin[:_LONGEST_SHOWN]!r}")
        sites = request.headers.getall("sec-fetch-site", [])
        if not self.is_open and any(site.strip().lower() == "cross-site" for site in sites):
            raise _refusal("pages of other sites (Sec-Fetch-Site: cross-site)")


def is_writing(request: Request) -> bool:
    """Return whether a request may change something."""
    return request.method not in READING


def _is_own(origin: str, request: Request) -> bool:
    """Return whether `origin` is the one under which this server was called.

    A proxy in front of the server may add TLS, so the scheme does not have to be http. A trusted
    proxy says under which host it was called.
    """
    scheme, _, authority = origin.lower().partition("://")
    host = forwarded_host(request) or request.headers.getone("host", "").strip()
    port = _PORTS.get(scheme)
    return port is not None and _with_port(authority, port) == _with_port(host.lower(), port)


def _with_port(authority: str, default: str) -> str:
    _, colon, port = authority.rpartition(":")
    return authority if colon and not port.endswith("]") else f"{authority}:{default}"


def _refusal(callers: str) -> CallError:
    return CallError(
        ErrorCode.FORBIDDEN,
        f"This server lets {callers} change nothing. To allow a web page to call the API, start "
        "the server with --cors-origins and the page's origin.",
    )
