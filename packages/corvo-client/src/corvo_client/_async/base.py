"""Base class of the client's methods."""

from collections.abc import AsyncGenerator
from typing import TypeVar

from corvo_client._async.session import AsyncSession
from corvo_client._call import Call
from corvo_client._stream import Stream

R = TypeVar("R")


class AsyncBase:
    """Base class of classes that make calls over a session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def _send(self, call: Call[R]) -> R:
        return await self._session.send(call)

    def _follow(self, stream: Stream[R]) -> AsyncGenerator[R]:
        return self._session.follow(stream)
