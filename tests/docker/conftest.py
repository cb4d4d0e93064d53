"""The image, built from this checkout, in containers of a Docker daemon.

Where there is no daemon the tests are skipped and say so; with `CORVO_REQUIRE_DOCKER=1` they fail.
`CORVO_IMAGE` names an image to test in place of one that is built. Whatever the tests make has a
label, and all that has it is removed at the end.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import pytest

from support.container import LABEL, CorvoContainer, DockerClient, MakeContainer

ROOT = Path(__file__).parents[2]
TAG = "corvo-server:test"


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CORVO_REQUIRE_DOCKER"):
        pytest.fail(f"CORVO_REQUIRE_DOCKER is set, and {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def daemon() -> Iterator[DockerClient]:
    try:
        import docker
    except ImportError:
        _unavailable("the Python packages for Docker are missing: nox -s docker has them")
    # Asked by the command, which the build needs as well: the package, when nobody answers, leaves
    # its socket open.
    if shutil.which("docker") is None:
        _unavailable("there is no docker command")
    command = ["docker", "info", "--format", "{{.ServerVersion}}"]
    asked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    if asked.returncode != 0:
        _unavailable(f"no Docker daemon answers: {asked.stderr.strip()}")
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def label(daemon: DockerClient) -> Iterator[str]:
    """The value of the label on all that this run makes."""
    value = uuid4().hex[:12]
    yield value
    mine = {"label": f"{LABEL}={value}"}
    for container in daemon.containers.list(all=True, filters=mine):
        container.remove(force=True, v=True)
    for network in daemon.networks.list(filters=mine):
        network.remove()
    for volume in daemon.volumes.list(filters=mine):
        volume.remove()


@pytest.fixture(scope="session")
def image(daemon: DockerClient) -> str:
    """The image under test."""
    if given := os.environ.get("CORVO_IMAGE"):
        daemon.images.get(given)
        return given
    built = subprocess.run(
        [ROOT / "docker/build.sh", TAG], check=False, capture_output=True, text=True, timeout=900
    )
    assert built.returncode == 0, built.stderr[-5000:]
    return TAG


@pytest.fixture
def volume(daemon: DockerClient, label: str) -> Iterator[str]:
    """The name of an empty volume."""
    made = daemon.volumes.create(labels={LABEL: label})
    yield str(made.name)
    made.remove(force=True)


@pytest.fixture
def make_container(image: str, label: str, volume: str) -> Iterator[MakeContainer]:
    """Makes a container on the test's volume; keyword arguments are those of `CorvoContainer`."""
    made: list[CorvoContainer] = []

    def make(**options: Any) -> CorvoContainer:
        container = CorvoContainer(image, label, **{"volume": volume, **options})
        made.append(container)
        return container

    yield make
    for container in made:
        container.close()


@pytest.fixture
def container(make_container: MakeContainer) -> CorvoContainer:
    """A server that runs as it does when one gives no options."""
    return make_container().start()
