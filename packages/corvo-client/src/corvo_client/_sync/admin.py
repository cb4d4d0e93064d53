# Generated from src/corvo_client/_async/admin.py by scripts/gen_sync.py. Do not edit.
"""Client methods for the server, its workers and its nodes."""

from corvo_client._calls import admin as calls
from corvo_client._sync.base import Base
from corvo_schema import ClusterStatus, Health, ServerInfo, WorkerInfo


class Admin(Base):
    """Read the state of the server."""

    def info(self) -> ServerInfo:
        """Return the versions of the server and of its API."""
        return self._send(calls.info())

    def list_workers(self) -> list[WorkerInfo]:
        """Return the workers with a recent request, and their jobs."""
        return self._send(calls.list_workers())

    def get_worker(self, worker_id: str) -> WorkerInfo:
        """Return one worker that called within the last hour or has active jobs.

        Raises `NotFound`.
        """
        return self._send(calls.get_worker(worker_id))

    def cluster_status(self) -> ClusterStatus:
        """Return the nodes of the cluster and their health."""
        return self._send(calls.cluster_status())

    def metrics(self) -> str:
        """Return the metrics of the server in the text format of Prometheus."""
        return self._send(calls.metrics())

    def healthz(self) -> Health:
        """Check that the server and its store answer. Raises `CorvoError` without retries."""
        return self._send(calls.healthz())

    def readyz(self) -> Health:
        """Check that the server accepts requests. Raises `CorvoError` without retries."""
        return self._send(calls.readyz())
