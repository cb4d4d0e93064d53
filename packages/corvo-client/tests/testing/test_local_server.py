"""`LocalServer`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from corvo_client import Client, PayloadTooLarge
from corvo_client.testing import LocalServer, ServerDied, _server


def test_a_server_starts_empty_and_removes_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORVO_BIND", "nonsense")
    server = LocalServer(options={"max_payload_bytes": 1024})
    assert repr(server) == "LocalServer(not started)"
    with pytest.raises(RuntimeError, match="not started"):
        server.url  # noqa: B018
    with server, Client(server.url) as client:
        assert client.enqueue("q").status == "pending"
        with pytest.raises(PayloadTooLarge):
            client.enqueue("q", "x" * 2000)
        assert server._folder is not None
        folder = Path(server._folder.name)
        assert (folder / "corvo.db").exists()
        assert repr(server) == f"LocalServer({server.url})"
    assert not folder.exists()
    assert "listening on" in server.log
    server.close()


def test_data_dir_is_not_removed(tmp_path: Path) -> None:
    with LocalServer(tmp_path / "data") as server, Client(server.url) as client:
        job_id = client.enqueue("q").job_id
    with LocalServer(tmp_path / "data") as server, Client(server.url) as client:
        assert client.get_job(job_id).queue == "q"


def test_the_error_of_a_failed_start_has_the_log() -> None:
    with pytest.raises(ServerDied, match=r"no.such.setting"):
        LocalServer(options={"no_such_setting": 1}).start()


def test_the_error_of_a_missing_server_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ServerDied, match=r"corvo-client\[testing\]"):
        LocalServer().start()


def test_a_start_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake server ignores SIGTERM and writes output that is no log."""
    script = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); "
        "print('no json'); print('[1]'); time.sleep(60)"
    )
    start = subprocess.Popen

    def popen(_command: Any, **options: Any) -> Any:
        return start([sys.executable, "-uc", script], **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(_server, "_START_TIMEOUT", 1.5)
    monkeypatch.setattr(_server, "_STOP_TIMEOUT", 0.2)
    with pytest.raises(ServerDied, match="did not start; the end of its output:\nno json"):
        LocalServer().start()
