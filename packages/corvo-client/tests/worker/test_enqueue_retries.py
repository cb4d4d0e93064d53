"""Retries of the enqueues of tasks."""

from collections.abc import Callable

import pytest

from corvo_client import NO_RETRIES, AsyncClient, Client, ConnectionFailed, RetryPolicy
from corvo_client.worker import Worker

CLOSED = "http://127.0.0.1:9"
ONCE = RetryPolicy(max_attempts=1)


def sync_policy(worker: Worker) -> RetryPolicy:
    return worker._server._sync_session._policy


def test_an_enqueue_has_the_policy_of_the_worker() -> None:
    assert sync_policy(Worker(CLOSED, retry=ONCE)) is ONCE
    assert sync_policy(Worker(AsyncClient(CLOSED, retry=ONCE))) is ONCE
    assert sync_policy(Worker(CLOSED)) == RetryPolicy()


def test_the_environment_counts_where_the_code_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker(CLOSED)
    monkeypatch.setenv("CORVO_RETRY_SECONDS", "17")
    clients: list[Callable[[], Client | AsyncClient]] = [Client, AsyncClient]
    for make in clients:
        assert make()._session._policy.max_elapsed == 17
    assert Client(retry=ONCE)._session._policy is ONCE
    assert sync_policy(worker).max_elapsed == 17
    assert sync_policy(Worker(CLOSED, retry=ONCE)) is ONCE


async def test_an_enqueue_without_retries_fails_at_once() -> None:
    worker = Worker(CLOSED, retry=NO_RETRIES)

    @worker.task("q")
    def task() -> None: ...

    with pytest.raises(ConnectionFailed, match="Is the server running there"):
        await task.aenqueue()
    with pytest.raises(ConnectionFailed) as caught:
        task.enqueue()
    assert not hasattr(caught.value, "__notes__")


def test_a_client_has_its_own_policy() -> None:
    with pytest.raises(ValueError, match="pass it to the client"):
        Worker(AsyncClient(CLOSED), retry=ONCE)
