"""What comes back for a call."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import NamedTuple


class Answer(NamedTuple):
    """The status, the headers by their names in small letters, the body as it is."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Streaming(NamedTuple):
    """The same, with the body piece by piece."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


class AsyncStreaming(NamedTuple):
    """The same, with the body piece by piece."""

    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]
