"""Answers of the server."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import NamedTuple


class Answer(NamedTuple):
    """Status, headers and complete body. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Streaming(NamedTuple):
    """Status, headers and an iterator over the pieces of the body."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


class AsyncStreaming(NamedTuple):
    """Status, headers and an iterator over the pieces of the body."""

    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]
