"""Two servers side by side, each under load for a short while in turn.

What a circumstance costs is told by each pair alone: a machine that is slower for a while is so for
both, which it is not for two measurements with minutes in between.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from corvo_bench.load import verify
from corvo_bench.load.closed import enqueues, lives
from corvo_bench.results import Sample
from corvo_bench.scenarios.bench import measure
from corvo_bench.server import Server

_CONNECTIONS = 50


class Side(NamedTuple):
    """A server, and the queues that its load goes to."""

    server: Server
    queues: Sequence[str]


Slice = Callable[[Side], Sequence[Sample]]
"""A short load on one side, with every job accounted for; its metrics."""


def in_pairs(pairs: int, usual: Side, other: Side, take: Slice) -> Iterator[tuple[Sample, Sample]]:
    """Both sides' samples of each pair of slices. Who is first changes from pair to pair."""
    for turn in range(pairs):
        if turn % 2:
            others, usuals = take(other), take(usual)
        else:
            usuals, others = take(usual), take(other)
        yield from zip(usuals, others, strict=True)


def ratio(usual: Sample, other: Sample) -> Sample:
    """The other side as a part of the usual one, with the same of the CPU time of a job."""
    details = {}
    if "server_cpu_us" in usual.details:
        details["cpu"] = other.details["server_cpu_us"] / usual.details["server_cpu_us"]
    return Sample(f"{other.metric}.ratio", other.value / usual.value, details=details)


def enqueueing(metric: str, seconds: float, side: Side) -> Sequence[Sample]:
    """Single jobs from 50 connections, into all queues of the side in turn."""
    server, queues = side
    before = verify.completed(server, queues)
    sample, outcome = measure(metric, server, enqueues, queues, _CONNECTIONS, seconds)
    verify.finish(server, queues, outcome.enqueued, before=before)
    return [sample]


def living(metric: str, seconds: float, side: Side) -> Sequence[Sample]:
    """Whole lives on 50 connections, each in one queue of the side."""
    server, queues = side
    before = verify.completed(server, queues)
    sample, outcome = measure(metric, server, lives, queues, _CONNECTIONS, seconds)
    verify.require_finished(server, queues, outcome.enqueued, outcome.finished, before=before)
    return [sample]
