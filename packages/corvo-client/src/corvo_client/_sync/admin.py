# Generated from src/corvo_client/_async/admin.py by scripts/gen_sync.py. Do not edit.
"""The client's methods about the server itself."""

from corvo_client._calls import admin as calls
from corvo_client._sync.base import Base
from corvo_schema import ClusterStatus, Health, ServerInfo, WorkerInfo


class Admin(Base):
    """Ask how the server is."""

    def info(self) -> ServerInfo:
        """Return the server's version and that of its API."""
        return self._send(calls.info())

    def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that were heard of lately, and what each is doing."""
        return self._send(calls.list_workers())

    def get_worker(self, worker_id: str) -> WorkerInfo:
        """Return one worker that called within the last hour or has active jobs.

        Raises `NotFound`.
        """
        return self._send(calls.get_worker(worker_id))

    def cluster_status(self) -> ClusterStatus:
        """Return the servers that work on this store, and whether they are well."""
        return self._send(calls.cluster_status())

    def metrics(self) -> str:
        """Return the server's numbers as Prometheus reads them: text, a number a line."""
        return self._send(calls.metrics())

    def healthz(self) -> Health:
        """Return when the server and its store answer. Raises at once when they do not."""
        return self._send(calls.healthz())

    def readyz(self) -> Health:
        """Return when the server takes requests. Raises at once when it does not."""
        return self._send(calls.readyz())
