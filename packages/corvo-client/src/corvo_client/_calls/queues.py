"""Calls about queues."""

from corvo_client._call import API, Call
from corvo_client._codec import reader, segment
from corvo_schema import QueueInfo, QueueStatusReply

_read_queue = reader(QueueInfo)
_read_queues = reader(list[QueueInfo])
_read_status = reader(QueueStatusReply)


def list_queues() -> Call[list[QueueInfo]]:
    """Ask for all queues."""
    return Call("GET", f"{API}/queues", _read_queues, repeatable=True)


def get_queue(name: str) -> Call[QueueInfo]:
    """Ask for one queue."""
    return Call("GET", f"{API}/queues/{segment(name)}", _read_queue, repeatable=True)


def pause_queue(name: str) -> Call[QueueStatusReply]:
    """Hold a queue's jobs back."""
    return Call("POST", f"{API}/queues/{segment(name)}/pause", _read_status, repeatable=True)


def resume_queue(name: str) -> Call[QueueStatusReply]:
    """Hand a queue's jobs out again."""
    return Call("POST", f"{API}/queues/{segment(name)}/resume", _read_status, repeatable=True)
