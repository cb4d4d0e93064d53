"""Requests through trusted proxies: the client's address, and the scheme and host that it used.

A proxy says these in `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`, or in
`Forwarded` (RFC 7239). Anyone can send these headers, so they count only on connections of trusted
proxies, and from right to left only as far as trusted proxies wrote them.
"""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple, TypeAlias

from sanic import Request

_ADDRESS = re.compile(
    r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?|([0-9A-Fa-f:.]+)"
)
"""An IPv6 address in brackets, an IPv4 address, each with a port or not, or an IPv6 address."""
_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"([^"\\]*)"|([^\s",;]*))\s*')
_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_MOST_HOPS = 50
"""Number of proxies from which on the headers are malformed."""
_MOST_BYTES = 4096

_Network: TypeAlias = IPv4Network | IPv6Network


class Caller(NamedTuple):
    """Where a request came from. `host` is None if no proxy has said it."""

    address: str
    is_https: bool
    host: str | None = None


class Hop(NamedTuple):
    """What a proxy says about the connection on which it got the request; None if unknown."""

    address: str | None
    scheme: str | None = None
    host: str | None = None


class TrustedProxies:
    """The networks of the proxies whose headers count."""

    def __init__(self, networks: Collection[str]) -> None:
        """`networks` are addresses, or networks like 10.0.0.0/8. Raise `ValueError` for others."""
        self.networks: list[_Network] = [ip_network(text) for text in networks]
        self._trusts = lru_cache(maxsize=4096)(self._find)

    def trusts(self, address: str) -> bool:
        """Return whether `address` is a trusted proxy."""
        return bool(self.networks) and self._trusts(address)

    def _find(self, address: str) -> bool:
        try:
            found = ip_address(normalized(address))
        except ValueError:
            return False
        return any(found in network for network in self.networks)

    def caller(self, hops: list[Hop], peer: str, *, is_https: bool) -> Caller:
        """Return the client at the end of the trusted hops, which are in the order of the request.

        `peer` is a trusted proxy. If a hop is malformed, the proxy to its right is the client.
        """
        address = peer
        for hop in reversed(hops):
            if hop.scheme is not None:
                is_https = hop.scheme == "https"
            if hop.address is None:
                return Caller(address, is_https, hop.host)
            address, host = hop.address, hop.host
            if not self.trusts(address):
                return Caller(address, is_https, host)
        return Caller(address, is_https, hops[0].host if hops else None)


def normalized(address: str) -> str:
    """Return one spelling of an address: without a zone, IPv4 as such. Raise `ValueError`."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return str(found)


def caller_of(request: Request) -> Caller:
    """Return where a request came from, as far as trusted proxies say it."""
    proxies: TrustedProxies = request.app.ctx.proxies
    info = request.conn_info
    is_https = info is not None and info.ssl
    if not proxies.trusts(request.ip):
        return Caller(request.ip, is_https)
    known: Caller | None = getattr(request.ctx, "caller", None)
    if known is None:
        known = proxies.caller(_hops_of(request), normalized(request.ip), is_https=is_https)
        request.ctx.caller = known
    return known


def client_address(request: Request) -> str:
    """Return the address of the client: that of its connection, or what trusted proxies say."""
    return caller_of(request).address if request.app.ctx.proxies.networks else request.ip


def is_https(request: Request) -> bool:
    """Return whether the client used HTTPS, with this server or with a trusted proxy."""
    return caller_of(request).is_https


def forwarded_host(request: Request) -> str | None:
    """Return the host that a client named to a trusted proxy; None without such a proxy."""
    return caller_of(request).host if request.app.ctx.proxies.networks else None


def _hops_of(request: Request) -> list[Hop]:
    """Return what the headers say; one hop without an address if they contradict each other.

    A proxy writes only one kind of headers. The other kind is then what the client sent.
    """
    headers = request.headers
    standard = ",".join(headers.getall("forwarded", []))
    addresses, schemes, hosts = (
        ",".join(headers.getall(f"x-forwarded-{name}", [])) for name in ("for", "proto", "host")
    )
    if len(standard) + len(addresses) + len(schemes) + len(hosts) > _MOST_BYTES:
        return [Hop(None)]
    other = read_x_forwarded(addresses, schemes, hosts)
    if not standard:
        return other
    hops = read_forwarded(standard)
    if other and [hop.address for hop in hops] != [hop.address for hop in other]:
        return [Hop(None)]
    return hops


def read_x_forwarded(addresses: str, schemes: str, hosts: str) -> list[Hop]:
    """Return the hops of the three headers. A scheme or host without a partner is of the last."""
    if not (addresses or schemes or hosts):
        return []
    found = [_address(text) for text in _listed(addresses)] or [None]
    if len(found) > _MOST_HOPS:
        return [Hop(None)]
    pairs = zip(found, _aligned(schemes, len(found)), _aligned(hosts, len(found)), strict=True)
    return [Hop(address, _scheme(scheme), _host(host)) for address, scheme, host in pairs]


def _aligned(text: str, number: int) -> list[str]:
    """Return one value for each hop. Of another number of values, the last one is for all hops."""
    values = _listed(text)
    if len(values) == number:
        return values
    return [values[-1] if values else ""] * number


def read_forwarded(text: str) -> list[Hop]:
    """Return the hops of the header `Forwarded`; a malformed one has no address."""
    hops = [_read_hop(element) for element in _split(text, ",")]
    return hops if len(hops) <= _MOST_HOPS else [Hop(None)]


def _read_hop(element: str) -> Hop:
    found: dict[str, str] = {}
    for part in _split(element, ";"):
        match = _PAIR.fullmatch(part)
        name = match[1].lower() if match else ""
        if match is None or name in found:
            return Hop(None)
        found[name] = match[2] if match[2] is not None else match[3]
    return Hop(
        _address(found.get("for", "")),
        _scheme(found.get("proto", "")),
        _host(found.get("host", "")),
    )


def _split(text: str, separator: str) -> Iterator[str]:
    """Yield the parts of a text. Separators within quotes do not count."""
    start, is_quoted = 0, False
    for at, character in enumerate(text):
        if character == '"':
            is_quoted = not is_quoted
        elif character == separator and not is_quoted:
            yield text[start:at]
            start = at + 1
    yield text[start:]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text else []


def _address(text: str) -> str | None:
    """Return the address in a value, which may have a port; None if it is malformed."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        return None
    try:
        return normalized(match[1] or match[2] or match[3])
    except ValueError:
        return None


def _scheme(text: str) -> str | None:
    scheme = text.strip().lower()
    return scheme if scheme in {"http", "https"} else None


def _host(text: str) -> str | None:
    return text.strip() if _HOST.fullmatch(text.strip()) else None
