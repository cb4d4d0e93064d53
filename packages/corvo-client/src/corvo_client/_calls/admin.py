"""Calls for the server, its workers and its nodes."""

from corvo_client._call import API, Call
from corvo_client._codec import reader, segment
from corvo_schema import ClusterStatus, Health, ServerInfo, WorkerInfo

_read_info = reader(ServerInfo)
_read_health = reader(Health)
_read_cluster = reader(ClusterStatus)
_read_workers = reader(list[WorkerInfo])
_read_worker = reader(WorkerInfo)


def _read_text(body: bytes) -> str:
    return body.decode(errors="replace")


def info() -> Call[ServerInfo]:
    """Return the call that reads the versions of the server and of its API."""
    return Call("GET", f"{API}/info", _read_info, repeatable=True)


def list_workers() -> Call[list[WorkerInfo]]:
    """Return the call that lists the workers."""
    return Call("GET", f"{API}/workers", _read_workers, repeatable=True)


def get_worker(worker_id: str) -> Call[WorkerInfo]:
    """Ask for one worker."""
    return Call("GET", f"{API}/workers/{segment(worker_id)}", _read_worker, repeatable=True)


def cluster_status() -> Call[ClusterStatus]:
    """Return the call that lists the nodes of the cluster."""
    return Call("GET", f"{API}/cluster/status", _read_cluster, repeatable=True)


def metrics() -> Call[str]:
    """Return the call that reads the metrics in the text format of Prometheus."""
    return Call("GET", f"{API}/metrics", _read_text, repeatable=True)


def healthz() -> Call[Health]:
    """Return the call of the liveness check. It is not retried: a failure is its result."""
    return Call("GET", "/healthz", _read_health, repeatable=True, patient=False)


def readyz() -> Call[Health]:
    """Return the call of the readiness check. It is not retried: a failure is its result."""
    return Call("GET", "/readyz", _read_health, repeatable=True, patient=False)
