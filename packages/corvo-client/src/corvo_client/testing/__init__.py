"""Test tools for applications that use Corvo.

`recording()` records the jobs that any client of the process enqueues, without a server. Tests read
them, assert about them, and run them with `drain()`. `LocalServer` is a real server in a temporary
directory. pytest has both as fixtures: `corvo_jobs`, `corvo_server`, `corvo_client`.
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
