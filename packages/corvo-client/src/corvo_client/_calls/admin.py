"""Calls about the server itself."""

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
    """Ask for the server's version."""
    return Call("GET", f"{API}/info", _read_info, repeatable=True)


def list_workers() -> Call[list[WorkerInfo]]:
    """Ask for the workers."""
    return Call("GET", f"{API}/workers", _read_workers, repeatable=True)


def get_worker(worker_id: str) -> Call[WorkerInfo]:
    """Ask for one worker."""
    return Call("GET", f"{API}/workers/{segment(worker_id)}", _read_worker, repeatable=True)


def cluster_status() -> Call[ClusterStatus]:
    """Ask which servers work on this store."""
    return Call("GET", f"{API}/cluster/status", _read_cluster, repeatable=True)


def metrics() -> Call[str]:
    """Ask for the server's numbers, as Prometheus has them."""
    return Call("GET", f"{API}/metrics", _read_text, repeatable=True)


def healthz() -> Call[Health]:
    """Ask whether the server lives. Not patient: "no" is an answer, too."""
    return Call("GET", "/healthz", _read_health, repeatable=True, patient=False)


def readyz() -> Call[Health]:
    """Ask whether the server takes requests. Not patient either."""
    return Call("GET", "/readyz", _read_health, repeatable=True, patient=False)
