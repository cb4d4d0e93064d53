"""Fixtures of the pytest plugin."""

import os
import subprocess
import sys
from pathlib import Path

from corvo_client import Client
from corvo_client.testing import RecordedJobs

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


def test_corvo_client_uses_a_separate_server(corvo_client: Client, corvo_server: str) -> None:
    assert corvo_client.base_url == corvo_server == os.environ["CORVO_SERVER"]
    job_id = corvo_client.enqueue("q").job_id
    assert [job.id for job in corvo_client.search_all()] == [job_id]
