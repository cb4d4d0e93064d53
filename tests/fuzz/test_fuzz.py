"""The server's responses match its OpenAPI description, for valid and invalid requests.

Callers have a key of each role, of a role on some queues, or none on a server without keys.
"""

import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from server_support.process import clean_environment
from support.api_client import API
from support.server import CorvoServer

HERE = Path(__file__).parent
TIMEOUT = 300
"""Seconds for the default number of cases. More cases get so much more time."""
CALLERS: dict[str, tuple[Sequence[str], list[str] | None]] = {
    "admin": (["admin"], None),
    "operator": (["operator"], None),
    "producer": (["producer"], None),
    "worker": (["worker"], None),
    "readonly": (["readonly"], None),
    "some queues": (["operator", "producer", "worker"], ["fuzz-*", "?"]),
}
"""Roles and queues of each caller."""


@pytest.fixture
def server(tmp_path: Path) -> CorvoServer:
    return CorvoServer(tmp_path / "data")


def check(server: CorvoServer, folder: Path, cases: int, *options: str, key: str = "") -> None:
    """Run the fuzzer against a server. `key` belongs to an admin and serves its preparations."""
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", HERE / "schemathesis.toml"),
            *("run", f"{server.url}{API}/openapi.json", "--max-examples", str(cases), *options),
            # A server without keys serves everybody, and many wrong keys get 429, which this check
            # does not know. `refuses_strangers` of the hooks is in its place.
            *("--exclude-checks", "ignored_auth"),
        ],
        cwd=folder,
        env=clean_environment(
            {"PYTHONPATH": str(HERE.parent), "NO_COLOR": "1", "FUZZ_ADMIN_KEY": key}
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT * max(1, cases / 10),
        check=False,
    )
    print(run.stdout)
    assert run.returncode == 0, "the fuzzer found a violation: see its output"
    assert server.stop() == 0
    assert not server.errors()


@pytest.mark.skipif(find_spec("schemathesis") is None, reason="nox -s fuzz installs schemathesis")
def test_responses_match_the_description(
    server: CorvoServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server.start()
    try:
        # With the first key, the server would begin to need one.
        cases = request.config.getoption("cases")
        check(server, tmp_path, cases, "--exclude-path", f"{API}/auth/keys")
    finally:
        server.close()


@pytest.mark.skipif(find_spec("schemathesis") is None, reason="nox -s fuzz installs schemathesis")
@pytest.mark.parametrize("caller", CALLERS)
def test_responses_to_a_key_match_the_description(
    server: CorvoServer, caller: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server.start()
    try:
        with httpx.Client(base_url=server.url + API, trust_env=False) as http:
            body = {"name": "fuzz admin", "roles": ["admin"]}
            admin = http.post("/auth/keys", json=body).raise_for_status().json()["key"]
            roles, queues = CALLERS[caller]
            body = {"name": "fuzz", "roles": roles, "queues": queues}
            key = http.post("/auth/keys", json=body, headers={"x-api-key": admin})
        header = f"Authorization: Bearer {key.raise_for_status().json()['key']}"
        cases = request.config.getoption("cases")
        check(server, tmp_path, cases, "--header", header, key=admin)
    finally:
        server.close()
