"""What is in the image, and what it says about itself."""

from typing import Any

import pytest

from corvo_server.__about__ import __version__
from support.container import UID, CorvoContainer, DockerClient

MOST_BYTES = 220_000_000


@pytest.fixture
def described(daemon: DockerClient, image: str) -> dict[str, Any]:
    attributes: dict[str, Any] = daemon.images.get(image).attrs
    return attributes


def test_image_is_small(described: dict[str, Any]) -> None:
    assert described["Size"] < MOST_BYTES


def test_image_says_what_it_is(described: dict[str, Any]) -> None:
    labels = described["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "corvo-server"
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert len(labels["org.opencontainers.image.revision"].removesuffix("-dirty")) == 40


def test_image_is_configured_to_be_safe(described: dict[str, Any]) -> None:
    config = described["Config"]
    assert config["User"] == f"{UID}:{UID}"  # a number, so that Kubernetes can see it is not root
    assert config["Volumes"] == {"/data": {}}
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][0] == "CMD"


def test_image_has_no_installer(container: CorvoContainer) -> None:
    code, _ = container.run("python3", "-c", "import pip")
    assert code == 1


def test_image_has_one_version_of_the_server(container: CorvoContainer) -> None:
    assert container.run("corvo-server", "--version") == (
        0,
        f"corvo-server, version {__version__}\n",
    )
    with container.client() as client:
        assert client.info().server_version == __version__


def test_nobody_inside_can_change_the_program(container: CorvoContainer) -> None:
    code, found = container.run("find", "/opt/corvo", "-writable", "-not", "-type", "l")
    assert (code, found) == (0, "")
