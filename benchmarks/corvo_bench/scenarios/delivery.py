"""Measure how soon a job reaches a waiting worker."""

from collections.abc import Iterator

from corvo_bench.load import verify
from corvo_bench.load.delivery import deliveries
from corvo_bench.results import Sample
from corvo_bench.scenarios.bench import QUEUE, Bench, measure
from corvo_bench.server import Server

_WAITING = 200


def delivery(bench: Bench) -> Iterator[Sample]:
    """Measure the delivery to one of 200 workers that wait for the same queue."""
    with bench.fresh_server() as server:
        yield from delivered("delivery", bench, server, [QUEUE] * _WAITING)


def delivered(
    metric: str, bench: Bench, server: Server, waiting: list[str], jobs: int | None = None
) -> Iterator[Sample]:
    """Yield p50 and p99 in ms of deliveries to the first queue of `waiting`.

    One worker waits for each entry of `waiting`. `jobs` defaults to the setting `deliveries`.
    """
    settings = bench.settings
    queue = waiting[0]
    before = verify.completed(server, [queue])
    args = (queue, waiting, jobs or settings.deliveries, settings.delivery_pause)
    _, outcome = measure(metric, server, deliveries, *args)
    verify.require_finished(server, [queue], outcome.enqueued, outcome.finished, before=before)
    details = {"max_ms": outcome.latencies.longest}
    for percent in (50, 99):
        yield Sample(f"{metric}.p{percent}", outcome.latencies.percentile(percent), details=details)
