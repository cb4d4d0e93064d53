"""What a plain request looks like: one that can be read and answered in one way only."""

import re
from typing import NamedTuple, TypeAlias

Headers: TypeAlias = list[tuple[str, str]]

_END = b"\r\n\r\n"
_SPECIAL = frozenset({"expect", "transfer-encoding", "upgrade"})
"""Headers that change how a request is read or answered."""
_LENGTH = re.compile("[0-9]{1,15}")


class RequestLine(NamedTuple):
    """A head by its lines, of which only the first is read."""

    head: bytes
    method: str
    path: str
    others: list[str]


def read_line(buffer: bytearray, limit: int) -> RequestLine | None:
    """The head that `buffer` begins with, if it is all there and shorter than `limit` bytes."""
    end = buffer.find(_END)
    if not 0 < end < limit:
        return None
    head = bytes(buffer[:end])
    first, *others = head.decode(errors="surrogateescape").split("\r\n")
    method, _, rest = first.partition(" ")
    path, _, version = rest.partition(" ")
    return RequestLine(head, method, path, others) if version == "HTTP/1.1" else None


def read_headers(lines: list[str]) -> tuple[Headers, int] | None:
    """Headers as Sanic has them, and the length of the body; None if one asks for more than that.

    The length must be given, and the connection stays open.
    """
    headers: Headers = []
    length = None
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        value = value.lstrip()
        if name == "content-length":
            if length is not None or not _LENGTH.fullmatch(value):
                return None
            length = int(value)
        elif name == "connection":
            if value.lower() != "keep-alive":
                return None
        elif not colon or name in _SPECIAL:
            return None
        headers.append((name, value))
    return None if length is None else (headers, length)
