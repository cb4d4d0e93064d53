"""Fixtures of the pytest plugin."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from corvo_client import Client, Forbidden, Unauthorized
from corvo_client.testing import LocalServer, RecordedJobs
from corvo_client.worker import Worker

CODE = """
import sys
from _pytest.config import get_config
config = get_config()
config.pluginmanager.load_setuptools_entrypoints("pytest11", name="corvo")
assert config.pluginmanager.has_plugin("corvo")
print([name for name in ("httpx", "pydantic", "corvo_schema") if name in sys.modules])
"""


def test_the_plugin_loads_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"


def test_corvo_jobs_records(corvo_jobs: RecordedJobs) -> None:
    with Client() as client:
        client.enqueue("q", {"n": 1})
    corvo_jobs.assert_enqueued("q", n=1)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in the environment, as in production."""
    pytest.importorskip("cryptography")
    monkeypatch.setenv("CORVO_CODEC_KEYS", f"k:{base64.b64encode(bytes(32)).decode()}")


@pytest.mark.usefixtures("keys")
def test_corvo_jobs_see_plain_documents(corvo_jobs: RecordedJobs) -> None:
    worker = Worker()

    @worker.task("q")
    def handle(n: int) -> int:
        return n + 1

    handle.enqueue(1)
    with Client() as client:
        client.enqueue("q", {"n": 2})
    corvo_jobs.assert_enqueued(handle, n=1)
    corvo_jobs.assert_enqueued("q", n=2)
    assert corvo_jobs.drain(worker).completed == 2
    assert [job.result for job in corvo_jobs.all] == [2, 3]


@pytest.mark.usefixtures("keys")
def test_corvo_server_gets_encrypted_documents(corvo_client: Client) -> None:
    job_id = corvo_client.enqueue("q", {"n": 1}).job_id
    assert corvo_client.get_job(job_id).payload == {"n": 1}
    with Client(codec=False) as plain:
        assert "$corvo_encrypted" in plain.get_job(job_id).payload


def test_corvo_client_uses_a_separate_server(corvo_client: Client, corvo_server: str) -> None:
    assert corvo_client.base_url == corvo_server == os.environ["CORVO_SERVER"]
    job_id = corvo_client.enqueue("q").job_id
    assert [job.id for job in corvo_client.search_all()] == [job_id]


@pytest.mark.corvo_keys
def test_server_can_need_keys(
    corvo_client: Client, corvo_server: str, corvo_new_key: Callable[..., str]
) -> None:
    job_id = corvo_client.enqueue("a.b").job_id
    with Client("http://in-the-code") as redirected:  # has the key of the admin, too
        assert redirected.get_job(job_id).queue == "a.b"
    with Client(corvo_server, api_key=corvo_new_key("producer", queues=["a.*"])) as producer:
        producer.enqueue("a.c")
        with pytest.raises(Forbidden, match="may not use the queue"):
            producer.enqueue("b")
        with pytest.raises(Forbidden, match="needs admin or operator"):
            producer.pause_queue("a.b")


def test_local_server_shows_no_key() -> None:
    with LocalServer(keys=True, options={"open_metrics": True}) as server:
        assert server.api_key is not None
        assert server.api_key not in server.log
        with Client(server.url) as stranger:
            with pytest.raises(Unauthorized, match="Set CORVO_API_KEY"):
                stranger.enqueue("q")
            assert "corvo_" in stranger.metrics()
