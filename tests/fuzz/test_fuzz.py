"""The server's responses match its OpenAPI description, for valid and invalid requests."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from server_support.process import clean_environment
from support.api_client import API
from support.server import CorvoServer

HERE = Path(__file__).parent
TIMEOUT = 300


@pytest.mark.skipif(find_spec("schemathesis") is None, reason="nox -s fuzz installs schemathesis")
def test_responses_match_the_description(tmp_path: Path) -> None:
    server = CorvoServer(tmp_path / "data").start()
    try:
        run = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli"),
                *("--config-file", HERE / "schemathesis.toml"),
                *("run", f"{server.url}{API}/openapi.json"),
            ],
            cwd=tmp_path,
            env=clean_environment({"PYTHONPATH": str(HERE.parent), "NO_COLOR": "1"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        print(run.stdout)
        assert run.returncode == 0, "the fuzzer found a violation: see its output"
        assert server.stop() == 0
        assert not server.errors()
    finally:
        server.close()
