"""The health check of the image."""

from typing import Any

import pytest

from server_support.waiting import wait_blocking
from support.container import CorvoContainer, MakeContainer

NANOSECONDS = 1_000_000_000


@pytest.fixture
def container(make_container: MakeContainer) -> CorvoContainer:
    """A running server whose health check runs twice a second."""
    often = {"interval": NANOSECONDS // 2, "retries": 2, "start_period": 30 * NANOSECONDS}
    return make_container(healthcheck=often).start()


def last_check(container: CorvoContainer) -> dict[str, Any]:
    check: dict[str, Any] = container.state["Health"]["Log"][-1]
    return check


def test_server_becomes_healthy(container: CorvoContainer) -> None:
    wait_blocking(lambda: container.health == "healthy", "the container is healthy")
    assert last_check(container)["ExitCode"] == 0


def test_server_without_its_data_becomes_unhealthy(container: CorvoContainer) -> None:
    wait_blocking(lambda: container.health == "healthy", "the container is healthy")
    assert container.run("sh", "-c", "rm /data/*")[0] == 0
    wait_blocking(lambda: container.health == "unhealthy", "the container is unhealthy")
    assert (
        "the database file /data/corvo.db does not exist any more"
        in last_check(container)["Output"]
    )


def test_server_that_hangs_becomes_unhealthy(container: CorvoContainer) -> None:
    wait_blocking(lambda: container.health == "healthy", "the container is healthy")
    # The first process of a container ignores SIGSTOP from inside, so send it from outside.
    container.docker.kill("SIGSTOP")
    wait_blocking(lambda: container.health == "unhealthy", "the container is unhealthy")
    assert "no answer from 0.0.0.0:8080" in last_check(container)["Output"]
    container.docker.kill("SIGCONT")
    wait_blocking(lambda: container.health == "healthy", "the container is healthy again")


def test_check_uses_the_configured_address(make_container: MakeContainer) -> None:
    container = make_container(env={"CORVO_BIND": "0.0.0.0:9000"}).launch()
    check = ("python3", "-IS", "/opt/corvo/libexec/health.py")
    wait_blocking(lambda: container.run(*check)[0] == 0, "the check succeeds")
