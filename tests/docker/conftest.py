"""Fixtures that build the image from this checkout and run it in containers.

Without a Docker daemon the tests are skipped, or fail if `CORVO_REQUIRE_DOCKER=1`. `CORVO_IMAGE`
names an existing image to test instead. Everything that the tests create has a label and is removed
at the end.
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
    # The build needs the docker command, too. Docker's Python package would leave its socket open
    # if no daemon answers.
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
    """The value of the label on everything that this test run creates."""
    value = uuid4().hex[:12]
    yield value
    filters = {"label": f"{LABEL}={value}"}
    for container in daemon.containers.list(all=True, filters=filters):
        container.remove(force=True, v=True)
    for network in daemon.networks.list(filters=filters):
        network.remove()
    for volume in daemon.volumes.list(filters=filters):
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
    """A factory of containers on the volume of the test. Arguments are options of a container."""
    made: list[CorvoContainer] = []
    keys: list[str] = []

    def make(**options: Any) -> CorvoContainer:
        container = CorvoContainer(image, label, **{"volume": volume, "keys": keys, **options})
        made.append(container)
        return container

    yield make
    for container in made:
        container.close()


@pytest.fixture
def container(make_container: MakeContainer) -> CorvoContainer:
    """A running server with default options."""
    return make_container().start()
