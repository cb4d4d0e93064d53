"""Reads from the kernel how much of a TCP connection's data the peer has acknowledged."""

import socket
import struct
import sys
from typing import NamedTuple, Protocol

_TCP_INFO = getattr(socket, "TCP_INFO", 11)
_COUNTS = struct.Struct("@B119xQQ")
"""Of the kernel's `struct tcp_info`: the state, the bytes acknowledged, and the bytes received."""
_CLOSED = 7
"""State of a connection that was reset, or whose peer has vanished."""


class Socket(Protocol):
    """The part of a socket that is needed here."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """Return the value of an option, in at most `size` bytes."""
        ...


class TcpInfo(NamedTuple):
    """The state of a connection, and the number of bytes that the peer's kernel has received."""

    is_broken: bool
    acknowledged: int


def read_tcp_info(connection: Socket | None) -> TcpInfo | None:
    """Return what Linux knows about a connection on which bytes were received, until it is closed.

    Return None on other systems, for other sockets, and from a kernel that does not count bytes.
    """
    if connection is None or not sys.platform.startswith("linux"):
        return None
    try:
        raw = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _COUNTS.size)
    except OSError:
        return None
    if len(raw) < _COUNTS.size:
        return None
    state, acknowledged, received = _COUNTS.unpack(raw)
    return TcpInfo(state == _CLOSED, acknowledged) if received else None
