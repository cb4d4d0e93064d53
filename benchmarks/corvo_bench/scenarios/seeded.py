"""The same with a table full of finished jobs, and what only shows then."""

import itertools
from collections.abc import Iterator

from corvo_bench.children import run_apart
from corvo_bench.load import verify
from corvo_bench.load.asking import asked_in_turn
from corvo_bench.load.closed import batched_lives, enqueues, lives
from corvo_bench.load.wire import request
from corvo_bench.results import Sample
from corvo_bench.scenarios.bench import Bench, measure
from corvo_bench.scenarios.delivery import delivered
from corvo_bench.scenarios.searches import PRESENTED, searches
from corvo_bench.server import API, Server

_QUERY_SECONDS = 20.0
_numbers = itertools.count(1)


def seeded(bench: Bench) -> Iterator[Sample]:
    """Start, throughput, delivery, queries, memory: on a table as after a week."""
    data_dir = bench.seeded(bench.settings.seed_jobs)
    seconds = bench.settings.seconds
    # Each round has queues of its own: the table is used by all of them.
    queue = f"bench-{next(_numbers)}"
    with Server(data_dir) as server:
        yield Sample("start", server.start_seconds)
        sample, outcome = measure("seeded.enqueue.50", server, enqueues, [queue], 50, seconds)
        yield sample
        verify.finish(server, [queue], outcome.enqueued)
    queue = f"bench-{next(_numbers)}"
    with Server(data_dir) as server:
        sample, outcome = measure("seeded.life.50", server, lives, [queue], 50, seconds)
        yield sample
        verify.require_finished(server, [queue], outcome.enqueued, outcome.finished)
    queue = f"bench-{next(_numbers)}"
    with Server(data_dir) as server:
        load = batched_lives
        sample, outcome = measure("seeded.batch.life", server, load, queue, 4, 100, seconds=seconds)
        yield sample
        verify.require_counts(server, [queue], outcome.count)
    queue = f"bench-{next(_numbers)}"
    with Server(data_dir) as server:
        yield from delivered("seeded.delivery", bench, server, [queue] * 200)
        yield from _queries(bench, server)
        yield Sample("memory.seeded", server.child.memory_mb())


def _queries(bench: Bench, server: Server) -> Iterator[Sample]:
    """One request at a time, each with other values; first pages with their totals."""
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
    """Every kind of search that an operator makes; the figures carry the search as subject."""
    with Server(bench.seeded(bench.settings.seed_jobs)) as server:
        for name, make in searches(server.data_dir).items():
            times = bench.settings.queries
            path = f"{API}/jobs/search"
            bodies = [request(server.url, "POST", path, make()) for _ in range(times)]
            latencies = run_apart(asked_in_turn, server.url, bodies, _QUERY_SECONDS / 2)
            for percent in (50, 99):
                yield Sample(f"searches.p{percent}", latencies.percentile(percent), subject=name)
