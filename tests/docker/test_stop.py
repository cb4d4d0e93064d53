"""A container stops gracefully and in time, whenever it receives the signal."""

import threading

import pytest

from corvo_client import CorvoError
from server_support.waiting import wait_blocking
from support.container import CorvoContainer, MakeContainer

TIMEOUT = 10.0


def test_stop_closes_the_store_and_exits_with_0(container: CorvoContainer) -> None:
    code, seconds = container.stop()
    assert code == 0
    assert seconds < TIMEOUT
    assert container.log.count("stopped: the store is closed") == 1


def test_stop_answers_waiting_fetches(container: CorvoContainer) -> None:
    answers: list[object] = []

    def fetch() -> None:
        with container.client() as client:
            try:
                answers.append(client.fetch(["q"], worker_id="w", timeout=60))
            except CorvoError as error:
                answers.append(error)

    waiting = threading.Thread(target=fetch)
    waiting.start()
    with container.client() as client:
        wait_blocking(lambda: "corvo_waiting_fetches 1.0" in client.metrics(), "the fetch waits")
    code, seconds = container.stop()
    waiting.join(TIMEOUT)
    assert (code, answers) == (0, [None])
    assert seconds < TIMEOUT


@pytest.mark.parametrize("attempt", range(5))
def test_stop_right_after_the_start_is_graceful(
    make_container: MakeContainer, attempt: int
) -> None:
    # The first process may not be Python yet at this time. If the signal were lost, Docker would
    # kill the container after 10 seconds, with exit code 137.
    container = make_container().launch()
    code, seconds = container.stop()
    assert code == 0, container.log
    assert seconds < TIMEOUT / 2


def test_stop_during_the_start_is_graceful(make_container: MakeContainer) -> None:
    for log_has in ("", "schema migrated", "listening"):
        container = make_container(volume=None).launch()
        wait_blocking(lambda text=log_has, made=container: text in made.log, log_has)
        assert container.stop()[0] == 0, container.log


def test_interrupt_is_graceful(container: CorvoContainer) -> None:
    docker = container.docker
    docker.kill("SIGINT")
    assert docker.wait(timeout=TIMEOUT)["StatusCode"] == 0
