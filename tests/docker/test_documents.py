"""Runs the blocks of `bash docker` and `bash compose` in `docs/deploy.md`, in their order.

The image under test, and a container and a volume of the test, replace the names on the page.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.container import DockerClient

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/deploy.md"
_BLOCK = re.compile(r"^```bash (docker|compose)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def port() -> int:
    """A free port of this machine. Another program could take the port before the test does."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number: int = taken.getsockname()[1]
        return number


def run(code: str, folder: Path, environment: dict[str, str]) -> str:
    command = ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def blocks(kind: str) -> list[str]:
    found = [match[2] for match in _BLOCK.finditer(PAGE.read_text("utf-8")) if match[1] == kind]
    assert found
    return found


def test_docker_blocks_run(
    daemon: DockerClient, image: str, label: str, port: int, tmp_path: Path
) -> None:
    name, url = f"corvo-test-{label}", f"http://localhost:{port}"
    environment = {
        "CORVO_SERVER": url,
        "CORVO_API_KEY_FILE": str(tmp_path / "admin.key"),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
    }
    try:
        for block in blocks("docker"):
            code = block.replace("corvo-server:latest", image).replace("my-corvo", name)
            code = code.replace("127.0.0.1:8080:", f"127.0.0.1:{port}:")
            run(code.replace("http://localhost:8080", url), tmp_path, environment)
        # The job of the first block still exists after a backup, a restore and an upgrade.
        found = run("corvo queues --output json", tmp_path, environment)
        assert '"greetings"' in found
    finally:
        for container in daemon.containers.list(all=True, filters={"name": name}):
            container.remove(force=True, v=True)
        for volume in daemon.volumes.list(filters={"name": name}):
            volume.remove()


def test_compose_blocks_run(image: str, label: str, tmp_path: Path) -> None:
    binary = shutil.which("docker-compose", path=str(Path(sys.executable).parent))
    assert binary is not None
    plugins = tmp_path / "cli-plugins"
    plugins.mkdir()
    (plugins / "docker-compose").symlink_to(binary)
    environment = {
        "COMPOSE_PROJECT_NAME": f"corvo-test-documents-{label}",
        "CORVO_IMAGE": image,
        "CORVO_PORT": "0",
        "CORVO_ADMIN_KEY_FILE": str(tmp_path / "admin.key"),
        "CORVO_WORKER_KEY_FILE": str(tmp_path / "worker.key"),
        "DOCKER_CONFIG": str(tmp_path),
    }
    try:
        for block in blocks("compose"):
            code = block.replace("corvo-server:latest", image)
            run(
                code.replace("docker/admin.key", str(tmp_path / "admin.key")).replace(
                    "docker/worker.key", str(tmp_path / "worker.key")
                ),
                ROOT,
                environment,
            )
    finally:
        down = "docker compose --file docker/compose.yaml down --volumes --timeout 1"
        run(down, ROOT, environment)
