"""The hosts under which the server is called; other hosts are refused against DNS rebinding.

A web page can make its own name point at this machine. The browser then treats the server as the
page's own site and lets the page read and change everything. Such a request has the page's name in
the header `Host`.
"""

import re
import socket
from collections.abc import Collection, Iterable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address

from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]*)?")
_MAX_KNOWN = 1000
_LONGEST_SHOWN = 100
"""Maximum characters of a refused host in a message."""


class Hosts:
    """Decides which values of the header `Host` are served."""

    def __init__(self, bind: str, allowed: Collection[str]) -> None:
        """`bind` is the host on which the server listens; `allowed` are names without ports.

        Without `allowed`, a server on an address that other machines reach serves every host.
        """
        self.known: set[str] = set()
        """Values that have been served, as they were sent. The fast path looks them up."""
        self._is_open = "*" in allowed or not (allowed or is_loopback(bind))
        self._names = {_normalized(name) for name in (bind, *allowed)}

    def check(self, sent: Iterable[str], local_address: str) -> None:
        """Raise `CallError` if one of the hosts of a request is not served.

        `local_address` is the address of this machine at which the request arrived. A request that
        names no host is served: browsers always name one.
        """
        for host in sent:
            if host in self.known:
                continue
            if not self._is_open and not self._is_served(host, local_address):
                raise _refusal(host)
            if len(self.known) >= _MAX_KNOWN:
                self.known.clear()
            self.known.add(host)

    def _is_served(self, host: str, local_address: str) -> bool:
        if not host.strip():
            return True
        name = _name_in(host)
        if name is None:
            return False
        return (
            name in self._names
            or name == _normalized(local_address.partition("%")[0])
            or _is_loopback_name(name)
        )


def _name_in(host: str) -> str | None:
    """Return the name or address in a header `Host`; None if it is malformed."""
    match = _HOST.fullmatch(host.strip().lower())
    return _normalized(match[1] or match[2]) if match else None


def _normalized(name: str) -> str:
    """Return one spelling of each name and address."""
    name = name.lower()
    try:
        address = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name.removesuffix(".")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def _is_loopback_name(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_loopback(bind: str) -> bool:
    """Return whether a server that binds to `bind` can be reached from this machine only."""
    if _is_loopback_name(_normalized(bind)):
        return True
    with suppress(OSError, UnicodeError):  # then the server cannot bind to it either
        found = socket.getaddrinfo(bind, None, type=socket.SOCK_STREAM)
        return any(_is_loopback_name(_normalized(str(address[0]))) for *_, address in found)
    return False


def _refusal(host: str) -> CallError:
    name = _name_in(host)
    advice = f" If {name} should reach this server, start it with --allowed-host {name}."
    return CallError(
        ErrorCode.FORBIDDEN,
        f"This server does not serve the host {host[:_LONGEST_SHOWN]!r}: a web page could have "
        "pointed its own name at this machine. Use localhost or 127.0.0.1."
        + (advice if name and len(name) <= _LONGEST_SHOWN else " Other hosts: --allowed-host."),
    )
