"""The addresses that webhooks may reach: public ones, and those that the operator allows.

A URL of a webhook must not make the server call what only the server can reach: its own machine,
its private network, or the metadata service of a cloud. The lists are those of IANA's registries of
special-purpose addresses. They are written out, because those of Python differ by version.
"""

from collections.abc import Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; metadata of some clouds
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # the platform service of Azure
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; metadata of some clouds
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_PUBLIC_V6 = IPv6Network("2000::/3")
"""All that is assigned as global unicast. Everything else is refused."""
_REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which has an IPv4 address within
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as IPv6 ones. The address within decides."""


class Addresses:
    """The rule which addresses webhooks may reach."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        """`allowed` are networks, like `10.1.0.0/16`, that may be reached although not public."""
        self._allowed = tuple(read_network(text) for text in allowed)

    def may_reach(self, address: Address) -> bool:
        """Return whether webhooks may be sent to `address`."""
        forms = {address, plain_form(address)}
        if any(form in network for form in forms for network in self._allowed):
            return True
        return _is_public(plain_form(address))

    def reachable(self, addresses: Iterable[str]) -> list[str]:
        """Return those of `addresses` that webhooks may be sent to."""
        return [text for text in addresses if self.may_reach(_read(text))]

    def find_refused(self, host: str) -> str | None:
        """Return the address that a host of a URL is, if webhooks may not reach it; else None.

        A name is not looked up: it is checked with each connection.
        """
        try:
            address = _read(host.strip("[]"))
        except ValueError:
            return None
        return None if self.may_reach(address) else str(address)


def read_network(text: str) -> Network:
    """Return a network, e.g. `10.0.0.0/8`, or one address. Raise `ValueError` if it is none."""
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a network, like 10.1.0.0/16 or fd00::/8") from None


def plain_form(address: Address) -> Address:
    """Return the IPv4 address within a mapped or translated IPv6 address; else `address`."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if IPv6Address(int(address)) in _NAT64:  # without the scope
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    if address.scope_id is not None or address not in _PUBLIC_V6:
        return False
    return not any(address in network for network in _REFUSED_V6)


def _read(text: str) -> Address:
    return ip_address(text)
