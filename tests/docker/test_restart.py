"""A container that is killed, and its successor on the same volume: no job is lost."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from corvo_client import CorvoError
from server_support.waiting import wait_blocking
from support.container import CorvoContainer, MakeContainer

PRODUCERS = 8
ENOUGH = 200


def replaced(_: CorvoContainer, make_container: MakeContainer) -> CorvoContainer:
    # The killed container and its lock file still exist. The kill released only the lock.
    return make_container().start()


def restarted(container: CorvoContainer, _: MakeContainer) -> CorvoContainer:
    return container.restart()


@pytest.mark.parametrize("back", [restarted, replaced])
def test_kill_under_load_loses_nothing(
    container: CorvoContainer,
    make_container: MakeContainer,
    back: Callable[[CorvoContainer, MakeContainer], CorvoContainer],
) -> None:
    accepted: list[str] = []

    def produce(number: int) -> None:
        with container.client() as client:
            while True:
                try:
                    accepted.append(client.enqueue("q", {"producer": number}).job_id)
                except CorvoError:
                    return

    with ThreadPoolExecutor(PRODUCERS) as threads:
        producers: list[Future[None]] = [threads.submit(produce, n) for n in range(PRODUCERS)]
        wait_blocking(lambda: len(accepted) >= ENOUGH, "jobs are accepted")
        container.kill()
        for producer in producers:
            producer.result()
    assert container.state["ExitCode"] == 137

    container = back(container, make_container)
    with container.client() as client:
        stored = {job.id for job in client.search_all(queue="q")}
    assert set(accepted) <= stored
    # At most one call per producer took effect without an answer.
    assert len(stored) <= len(accepted) + PRODUCERS


def test_active_job_is_fetched_again_after_a_kill(container: CorvoContainer) -> None:
    with container.client() as client:
        job_id = client.enqueue("q", {"n": 1}).job_id
        first = client.fetch(["q"], worker_id="first", lease_duration=1)
        assert first is not None
    container.kill()
    container.restart()
    with container.client() as client:
        again = client.fetch(["q"], worker_id="second", timeout=30)
        assert again is not None
        assert (again.job_id, again.attempt) == (job_id, 2)
        with pytest.raises(CorvoError, match="lease"):
            client.ack(first)
        client.ack(again)
        assert client.get_job(job_id).state == "completed"


def test_second_server_on_the_volume_refuses_to_start(
    container: CorvoContainer, make_container: MakeContainer
) -> None:
    second = make_container().launch()
    assert second.docker.wait(timeout=30)["StatusCode"] == 1
    assert "Another corvo-server is using the data directory /data" in second.log
    with container.client() as client:
        assert client.enqueue("q", 1).status == "pending"
