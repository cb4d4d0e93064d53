"""Client methods for the server, its workers and its nodes."""

from corvo_client._async.base import AsyncBase
from corvo_client._calls import admin as calls
from corvo_schema import ClusterStatus, Health, ServerInfo, WorkerInfo


class AsyncAdmin(AsyncBase):
    """Read the state of the server."""

    async def info(self) -> ServerInfo:
        """Return the versions of the server and of its API."""
        return await self._send(calls.info())

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers with a recent request, and their jobs."""
        return await self._send(calls.list_workers())

    async def get_worker(self, worker_id: str) -> WorkerInfo:
        """Return one worker that called within the last hour or has active jobs.

        Raises `NotFound`.
        """
        return await self._send(calls.get_worker(worker_id))

    async def cluster_status(self) -> ClusterStatus:
        """Return the nodes of the cluster and their health."""
        return await self._send(calls.cluster_status())

    async def metrics(self) -> str:
        """Return the metrics of the server in the text format of Prometheus."""
        return await self._send(calls.metrics())

    async def healthz(self) -> Health:
        """Check that the server and its store answer. Raises `CorvoError` without retries."""
        return await self._send(calls.healthz())

    async def readyz(self) -> Health:
        """Check that the server accepts requests. Raises `CorvoError` without retries."""
        return await self._send(calls.readyz())
