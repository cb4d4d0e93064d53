"""A measurement fails if a job is lost, duplicated or unfinished."""

from typing import Any

import pytest

from corvo_bench.load.verify import require_finished
from corvo_bench.results import BenchmarkError
from corvo_bench.server import Endpoint

STATES = ("scheduled", "pending", "active", "retrying", "completed", "dead", "cancelled")


class FakeEndpoint(Endpoint):
    """A server that reports the given counters for the queue `q`."""

    def __init__(self, **counts: int) -> None:
        super().__init__()
        self._queue = {"name": "q", **dict.fromkeys(STATES, 0), **counts}

    def ask(self, method: str, path: str, body: object = None, *, prefix: str = "") -> Any:
        assert (method, path) == ("GET", "/queues")
        return [self._queue, {"name": "other", **dict.fromkeys(STATES, 9)}]


def test_matching_ids_and_counts_pass() -> None:
    require_finished(FakeEndpoint(completed=2), ["q"], ["a", "b"], ["b", "a"])
    require_finished(FakeEndpoint(completed=5), ["q"], ["a", "b"], ["b", "a"], before=3)


@pytest.mark.parametrize(
    ("enqueued", "finished", "message"),
    [
        (["a", "b"], ["a"], "1 jobs lost, 0 too many"),
        (["a"], ["a", "b"], "0 jobs lost, 1 too many"),
        (["a", "a"], ["a", "a"], "1 ids given twice"),
        (["a", "b"], ["a", "b", "b"], "1 too many"),
    ],
)
def test_different_ids_are_refused(enqueued: list[str], finished: list[str], message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        require_finished(FakeEndpoint(completed=2), ["q"], enqueued, finished)


@pytest.mark.parametrize(
    "counts", [{"completed": 1}, {"completed": 1, "dead": 1}, {"completed": 3}]
)
def test_different_counts_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(BenchmarkError, match="2 jobs should be completed"):
        require_finished(FakeEndpoint(**counts), ["q"], ["a", "b"], ["a", "b"])


def test_an_unfinished_job_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="pending"):
        require_finished(FakeEndpoint(completed=2, pending=1), ["q"], ["a", "b"], ["a", "b"])
