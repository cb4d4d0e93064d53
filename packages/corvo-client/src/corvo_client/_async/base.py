"""What the methods of the client stand on."""

from typing import TypeVar

from corvo_client._async.session import AsyncSession
from corvo_client._call import Call

R = TypeVar("R")


class AsyncBase:
    """Something that makes calls over a session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def _send(self, call: Call[R]) -> R:
        return await self._session.send(call)
