"""The content and the labels of the image."""

from typing import Any

import pytest

import corvo_cli.__about__
from corvo_server.__about__ import __version__
from support.container import LABEL, UID, CorvoContainer, DockerClient

MAX_BYTES = 220_000_000


@pytest.fixture
def attributes(daemon: DockerClient, image: str) -> dict[str, Any]:
    attrs: dict[str, Any] = daemon.images.get(image).attrs
    return attrs


def test_image_is_small(attributes: dict[str, Any]) -> None:
    assert attributes["Size"] < MAX_BYTES


def test_image_has_labels(attributes: dict[str, Any]) -> None:
    labels = attributes["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "corvo-server"
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert len(labels["org.opencontainers.image.revision"].removesuffix("-dirty")) == 40


def test_image_is_configured_to_be_safe(attributes: dict[str, Any]) -> None:
    config = attributes["Config"]
    # The user is numeric, so that Kubernetes can verify that it is not root.
    assert config["User"] == f"{UID}:{UID}"
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


def test_image_has_the_command_line(daemon: DockerClient, image: str, label: str) -> None:
    labels = {LABEL: label}
    out = daemon.containers.run(image, ["corvo", "--version"], remove=True, labels=labels)
    assert out.decode() == f"corvo, version {corvo_cli.__about__.__version__}\n"


def test_command_line_in_the_container_finds_the_server(container: CorvoContainer) -> None:
    code, out = container.run("corvo", "status")
    assert code == 0, out
    assert __version__ in out


def test_program_files_are_not_writable(container: CorvoContainer) -> None:
    code, found = container.run("find", "/opt/corvo", "-writable", "-not", "-type", "l")
    assert (code, found) == (0, "")
