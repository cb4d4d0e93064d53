"""A job that is lost, doubled or left over makes a measurement invalid."""

from typing import Any

import pytest

from corvo_bench.load.verify import require_finished
from corvo_bench.results import BenchmarkError
from corvo_bench.server import Endpoint

STATES = ("scheduled", "pending", "active", "retrying", "completed", "dead", "cancelled")


class Told(Endpoint):
    """A server that reports these counts for its only queue."""

    def __init__(self, **counts: int) -> None:
        super().__init__()
        self._queue = {"name": "q", **dict.fromkeys(STATES, 0), **counts}

    def ask(self, method: str, path: str, body: object = None, *, prefix: str = "") -> Any:
        assert (method, path) == ("GET", "/queues")
        return [self._queue, {"name": "other", **dict.fromkeys(STATES, 9)}]


def test_matching_ids_and_counts_pass() -> None:
    require_finished(Told(completed=2), ["q"], ["a", "b"], ["b", "a"])
    require_finished(Told(completed=5), ["q"], ["a", "b"], ["b", "a"], before=3)


@pytest.mark.parametrize(
    ("enqueued", "finished", "message"),
    [
        (["a", "b"], ["a"], "1 jobs lost, 0 too many"),
        (["a"], ["a", "b"], "0 jobs lost, 1 too many"),
        (["a", "a"], ["a", "a"], "1 ids used twice"),
        (["a", "b"], ["a", "b", "b"], "1 too many"),
    ],
)
def test_ids_that_differ_are_reported(
    enqueued: list[str], finished: list[str], message: str
) -> None:
    with pytest.raises(BenchmarkError, match=message):
        require_finished(Told(completed=2), ["q"], enqueued, finished)


@pytest.mark.parametrize(
    "counts", [{"completed": 1}, {"completed": 1, "dead": 1}, {"completed": 3}]
)
def test_counts_that_differ_are_reported(counts: dict[str, int]) -> None:
    with pytest.raises(BenchmarkError, match="expected 2 completed jobs"):
        require_finished(Told(**counts), ["q"], ["a", "b"], ["a", "b"])


def test_a_job_that_is_left_over_is_reported() -> None:
    with pytest.raises(BenchmarkError, match="pending"):
        require_finished(Told(completed=2, pending=1), ["q"], ["a", "b"], ["a", "b"])
