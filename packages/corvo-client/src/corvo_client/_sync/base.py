# Generated from src/corvo_client/_async/base.py by scripts/gen_sync.py. Do not edit.
"""Base class of the client's methods."""

from collections.abc import Generator
from typing import TypeVar

from corvo_client._call import Call
from corvo_client._stream import Stream
from corvo_client._sync.session import Session

R = TypeVar("R")


class Base:
    """Base class of classes that make calls over a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def _send(self, call: Call[R]) -> R:
        return self._session.send(call)

    def _follow(self, stream: Stream[R]) -> Generator[R]:
        return self._session.follow(stream)
