"""The client's methods about the server itself."""

from corvo_client._async.base import AsyncBase
from corvo_client._calls import admin as calls
from corvo_schema import Health, ServerInfo


class AsyncAdmin(AsyncBase):
    """Ask how the server is."""

    async def info(self) -> ServerInfo:
        """Return the server's version and that of its API."""
        return await self._send(calls.info())

    async def healthz(self) -> Health:
        """Return when the server and its store answer. Raises at once when they do not."""
        return await self._send(calls.healthz())

    async def readyz(self) -> Health:
        """Return when the server takes requests. Raises at once when it does not."""
        return await self._send(calls.readyz())
