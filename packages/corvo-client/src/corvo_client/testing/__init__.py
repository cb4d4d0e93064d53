"""Test tools for applications that use Corvo.

`recording()` records the jobs that the clients of this process enqueue, without a server. Tests
inspect them, make assertions, and run them with `drain()`. `LocalServer` runs a real server in a
temporary directory, and `redirecting()` sends all calls of the process to it. The pytest fixtures
are `corvo_jobs`, `corvo_server` and `corvo_client`.
"""

from corvo_client._redirect import NotRecorded, RedirectEnded, redirecting
from corvo_client.testing._context import FakeContext, fake_context
from corvo_client.testing._drain import Drained, NeverEmpty
from corvo_client.testing._memory import NoServer
from corvo_client.testing._recorded import RecordedJobs, recording
from corvo_client.testing._server import LocalServer, ServerDied

__all__ = [
    "Drained",
    "FakeContext",
    "LocalServer",
    "NeverEmpty",
    "NoServer",
    "NotRecorded",
    "RecordedJobs",
    "RedirectEnded",
    "ServerDied",
    "fake_context",
    "recording",
    "redirecting",
]
