"""The content and the labels of the image."""

from typing import Any

import pytest

import corvo_cli.__about__
from corvo_client import NO_RETRIES, Client, Unauthorized
from corvo_server.__about__ import __version__
from support.container import LABEL, UID, CorvoContainer, DockerClient, MakeContainer, put_file

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


def test_image_makes_an_admin_key_once(make_container: MakeContainer) -> None:
    first = make_container().start()
    key = first.api_key
    assert key is not None
    with first.client() as client:
        status = client.auth_status()
    assert status.key is not None
    assert status.key.roles == ["admin"]
    with Client(first.url, retry=NO_RETRIES) as stranger, pytest.raises(Unauthorized):
        stranger.enqueue("q")
    first.stop()
    first.restart()
    assert first.log.count(key) == 1
    first.stop()
    second = make_container().start()  # on the same volume
    assert second.log.count("corvo_") == second.log.count("corvo_server")
    with second.client() as client:
        assert client.enqueue("q").job_id


def test_image_takes_its_first_key_from_a_file(
    daemon: DockerClient, image: str, label: str, volume: str, make_container: MakeContainer
) -> None:
    made = daemon.containers.run(image, ["keys", "new"], remove=True, labels={LABEL: label})
    put_file(daemon, image, volume, "admin.key", made)
    container = make_container(env={"CORVO_BOOTSTRAP_KEY_FILE": "/data/admin.key"}).start()
    assert container.api_key is None
    key = made.decode().strip()
    assert key not in container.log
    with Client(container.url, api_key=key, retry=NO_RETRIES) as client:
        assert client.list_keys()[0].name == "admin"


def test_image_needs_no_key_if_that_is_wanted(make_container: MakeContainer) -> None:
    container = make_container(env={"CORVO_INSECURE_NO_AUTH": "true"}).start()
    assert container.api_key is None
    assert "needs no API keys" in container.log
    with container.client() as client:
        assert client.enqueue("q").job_id


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
