"""Calls about the server itself."""

from corvo_client._call import API, Call
from corvo_client._codec import reader
from corvo_schema import Health, ServerInfo

_read_info = reader(ServerInfo)
_read_health = reader(Health)


def info() -> Call[ServerInfo]:
    """Ask for the server's version."""
    return Call("GET", f"{API}/info", _read_info, repeatable=True)


def healthz() -> Call[Health]:
    """Ask whether the server lives. Not patient: "no" is an answer, too."""
    return Call("GET", "/healthz", _read_health, repeatable=True, patient=False)


def readyz() -> Call[Health]:
    """Ask whether the server takes requests. Not patient either."""
    return Call("GET", "/readyz", _read_health, repeatable=True, patient=False)
