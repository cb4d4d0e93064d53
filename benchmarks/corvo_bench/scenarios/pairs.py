"""Compare two servers by short loads in turn.

Each pair of loads gives one ratio. A machine that is slow for a while slows both sides of a pair,
but not both of two measurements that are minutes apart.
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
    """A server and the queues of its load."""

    server: Server
    queues: Sequence[str]


Slice = Callable[[Side], Sequence[Sample]]
"""Runs a short load on one side, accounts for every job, and returns the samples."""


def in_pairs(pairs: int, usual: Side, other: Side, take: Slice) -> Iterator[tuple[Sample, Sample]]:
    """Yield the samples of both sides for each pair. The side that runs first alternates."""
    for turn in range(pairs):
        if turn % 2:
            others, usuals = take(other), take(usual)
        else:
            usuals, others = take(usual), take(other)
        yield from zip(usuals, others, strict=True)


def ratio(usual: Sample, other: Sample) -> Sample:
    """Return the ratio of the other side to the usual one, and of their CPU times per job."""
    details = {}
    if "server_cpu_us" in usual.details:
        details["cpu"] = other.details["server_cpu_us"] / usual.details["server_cpu_us"]
    return Sample(f"{other.metric}.ratio", other.value / usual.value, details=details)


def enqueueing(metric: str, seconds: float, side: Side) -> Sequence[Sample]:
    """Enqueue single jobs over 50 connections into all queues of the side in turn."""
    server, queues = side
    before = verify.completed(server, queues)
    sample, outcome = measure(metric, server, enqueues, queues, _CONNECTIONS, seconds)
    verify.finish(server, queues, outcome.enqueued, before=before)
    return [sample]


def living(metric: str, seconds: float, side: Side) -> Sequence[Sample]:
    """Enqueue, fetch and ack jobs over 50 connections, each with one queue of the side."""
    server, queues = side
    before = verify.completed(server, queues)
    sample, outcome = measure(metric, server, lives, queues, _CONNECTIONS, seconds)
    verify.require_finished(server, queues, outcome.enqueued, outcome.finished, before=before)
    return [sample]
