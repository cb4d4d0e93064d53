"""Measure a server with a table full of finished jobs."""

import itertools
from collections.abc import Iterator, Sequence
from functools import partial

from corvo_bench.children import run_apart
from corvo_bench.load import verify
from corvo_bench.load.asking import asked_in_turn
from corvo_bench.load.closed import batched_lives
from corvo_bench.load.raw_connection import request
from corvo_bench.results import Sample
from corvo_bench.scenarios.bench import Bench, measure
from corvo_bench.scenarios.delivery import delivered
from corvo_bench.scenarios.pairs import Side, Slice, enqueueing, in_pairs, living, ratio
from corvo_bench.scenarios.searches import PRESENTED, searches
from corvo_bench.server import API, Server

_QUERY_SECONDS = 20.0
_WAITING = 200
_rounds = itertools.count(1)


def seeded(bench: Bench) -> Iterator[Sample]:
    """Measure start, throughput, delivery, queries and memory with the jobs of a week.

    Throughput and delivery are also measured with an empty table, in turn.
    """
    data_dir = bench.seeded(bench.settings.seed_jobs)
    seconds = bench.settings.slice_seconds
    slices: dict[str, Slice] = {
        "enqueue": partial(enqueueing, "seeded.enqueue.50", seconds),
        "life": partial(living, "seeded.life.50", seconds),
        "batch": partial(_batched, seconds),
        "delivery": partial(_delivered, bench),
    }
    # Each round uses new queues, because all rounds share the table.
    number = next(_rounds)
    for name, take in slices.items():
        with Server(data_dir) as full, bench.fresh_server() as empty:
            queues = [f"bench-{name}-{number}"]
            sides = Side(empty, queues), Side(full, queues)
            for without, with_jobs in in_pairs(bench.settings.pairs, *sides, take):
                yield with_jobs
                yield ratio(without, with_jobs)
    with Server(data_dir) as server:
        yield Sample("start", server.start_seconds)
        yield from _queries(bench, server)
        yield Sample("memory.seeded", server.child.memory_mb())


def _batched(seconds: float, side: Side) -> Sequence[Sample]:
    server, (queue,) = side
    before = verify.completed(server, [queue])
    metric, load = "seeded.batch.life", batched_lives
    sample, outcome = measure(metric, server, load, queue, 4, 100, seconds=seconds)
    verify.require_counts(server, [queue], outcome.count + before)
    return [sample]


def _delivered(bench: Bench, side: Side) -> Sequence[Sample]:
    jobs = bench.settings.slice_deliveries
    waiting = list(side.queues) * _WAITING
    return list(delivered("seeded.delivery", bench, side.server, waiting, jobs))


def _queries(bench: Bench, server: Server) -> Iterator[Sample]:
    """Measure `GET /queues` and one search, one request at a time with new values."""
    times = bench.settings.queries
    bodies = [request(server.url, "GET", f"{API}/queues")] * times
    latencies = run_apart(asked_in_turn, server.url, bodies, _QUERY_SECONDS)
    for percent in (50, 99):
        yield Sample(f"queues.p{percent}", latencies.percentile(percent))
    make = searches(server.data_dir)[PRESENTED]
    bodies = [request(server.url, "POST", f"{API}/jobs/search", make()) for _ in range(times)]
    latencies = run_apart(asked_in_turn, server.url, bodies, _QUERY_SECONDS)
    for percent in (50, 99):
        yield Sample(f"search.p{percent}", latencies.percentile(percent))


def search(bench: Bench) -> Iterator[Sample]:
    """Measure each search of an operator. The subject of a sample is the name of the search."""
    with Server(bench.seeded(bench.settings.seed_jobs)) as server:
        for name, make in searches(server.data_dir).items():
            times = bench.settings.queries
            path = f"{API}/jobs/search"
            bodies = [request(server.url, "POST", path, make()) for _ in range(times)]
            latencies = run_apart(asked_in_turn, server.url, bodies, _QUERY_SECONDS / 2)
            for percent in (50, 99):
                yield Sample(f"searches.p{percent}", latencies.percentile(percent), subject=name)
