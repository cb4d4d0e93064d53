"""Test tools for applications that use Corvo.

`recording()` catches what is enqueued by any client of the process, without a server: look at it,
assert about it, run it with `drain()`. `LocalServer` is a real server in a temporary directory.
With pytest both come as fixtures: `corvo_jobs`, `corvo_server`, `corvo_client`.
"""

from corvo_client.testing._drain import Drained, NeverEmpty
from corvo_client.testing._memory import NoServer
from corvo_client.testing._recorded import RecordedJobs, recording
from corvo_client.testing._server import LocalServer, ServerDied

__all__ = [
    "Drained",
    "LocalServer",
    "NeverEmpty",
    "NoServer",
    "RecordedJobs",
    "ServerDied",
    "recording",
]
