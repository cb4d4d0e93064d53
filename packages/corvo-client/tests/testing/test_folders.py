"""Temporary directories of killed test runs are removed by the next start."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

from corvo_client.testing import LocalServer
from corvo_client.testing._folders import new_folder

_RUN = """
import sys
from corvo_client.testing import LocalServer

server = LocalServer().start()
print(server._folder.name, server._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary directories."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def age(path: Path) -> None:
    """Make a file as old as a leftover."""
    os.utime(path, (1, 1))


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_the_folder_of_a_killed_run_is_removed_once_its_server_has_ended(parent: Path) -> None:
    command = [sys.executable, "-c", _RUN]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        name, pid = process.stdout.readline().split()
        process.kill()
        process.wait()
        folder = Path(name)
        try:
            age(folder / "corvo.lock")
            new_folder().cleanup()
            assert (folder / "corvo.db").exists(), "the server still runs"
        finally:
            os.kill(int(pid), signal.SIGKILL)
        # Its end closes the pipe, and releases its lock.
        assert process.stdout.read() is not None
    with FileLock(folder / "corvo.lock", timeout=10):
        pass
    age(folder / "corvo.lock")
    with LocalServer() as server:
        assert not folder.exists()
        assert server._folder is not None
        assert [str(path) for path in parent.iterdir()] == [server._folder.name]


def test_new_folders_and_those_of_others_stay(parent: Path) -> None:
    stay = {"corvo-local-server-new", "corvo-other", "data"}
    for name in stay | {"corvo-local-server-old"}:
        (parent / name).mkdir()
    for name in ("corvo-other", "data", "corvo-local-server-old"):
        age(parent / name)
    (parent / "corvo-local-server-link").symlink_to(parent / "data")
    new_folder().cleanup()
    assert {path.name for path in parent.iterdir()} == stay | {"corvo-local-server-link"}
