"""The client's methods about the server itself."""

from corvo_client._async.base import AsyncBase
from corvo_client._calls import admin as calls
from corvo_schema import ClusterStatus, Health, ServerInfo, WorkerInfo


class AsyncAdmin(AsyncBase):
    """Ask how the server is."""

    async def info(self) -> ServerInfo:
        """Return the server's version and that of its API."""
        return await self._send(calls.info())

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that were heard of lately, and what each is doing."""
        return await self._send(calls.list_workers())

    async def get_worker(self, worker_id: str) -> WorkerInfo:
        """Return one worker that called within the last hour or has active jobs.

        Raises `NotFound`.
        """
        return await self._send(calls.get_worker(worker_id))

    async def cluster_status(self) -> ClusterStatus:
        """Return the servers that work on this store, and whether they are well."""
        return await self._send(calls.cluster_status())

    async def metrics(self) -> str:
        """Return the server's numbers as Prometheus reads them: text, a number a line."""
        return await self._send(calls.metrics())

    async def healthz(self) -> Health:
        """Return when the server and its store answer. Raises at once when they do not."""
        return await self._send(calls.healthz())

    async def readyz(self) -> Health:
        """Return when the server takes requests. Raises at once when it does not."""
        return await self._send(calls.readyz())
