"""Measure the same loads along an axis, such as the number of jobs in the table."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from corvo_bench.children import run_apart, started_apart
from corvo_bench.load import verify
from corvo_bench.load.closed import PAYLOAD, enqueues, lives
from corvo_bench.load.idle import idle
from corvo_bench.load.offered import offered
from corvo_bench.results import BenchmarkError, Sample
from corvo_bench.scenarios.bench import QUEUE, Bench, measure
from corvo_bench.scenarios.delivery import delivered
from corvo_bench.scenarios.pairs import Side, enqueueing, in_pairs, living, ratio
from corvo_bench.seed import extend, seed_scheduled
from corvo_bench.server import Server

_CONNECTIONS = 50
_PAYLOAD_CONNECTIONS = 10
_IDLE = "idle"
_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.05


def by_finished(bench: Bench) -> Iterator[Sample]:
    """Measure with more and more finished jobs in the table."""
    yield from _by_table("by_finished", bench, extend, bench.settings.finished_jobs)


def by_scheduled(bench: Bench) -> Iterator[Sample]:
    """Measure with more and more scheduled jobs in the table."""
    yield from _by_table("by_scheduled", bench, seed_scheduled, bench.settings.scheduled_jobs)


def _by_table(
    name: str, bench: Bench, fill: Callable[[Path, int], None], xs: Sequence[int]
) -> Iterator[Sample]:
    """Compare a table of each size in `xs` with an empty table, which is the first size."""
    first, *others = xs
    with bench.data_dir() as data_dir:
        for x in others:
            run_apart(fill, data_dir, x)
            with bench.fresh_server() as empty, Server(data_dir) as full:
                sides = Side(empty, [QUEUE]), Side(full, [f"{QUEUE}-{x}"])
                yield from _beside(name, bench, (first, x), sides)


def by_queues(bench: Bench) -> Iterator[Sample]:
    """Measure with more and more queues.

    Enqueues use all queues in turn. In the other load, each connection uses one queue.
    """
    queues = [f"{QUEUE}-{number:04d}" for number in range(max(bench.settings.queues))]
    first, *others = bench.settings.queues
    for x in others:
        with bench.fresh_server() as few, bench.fresh_server() as many:
            sides = Side(few, queues[:first]), Side(many, queues[:x])
            yield from _beside("by_queues", bench, (first, x), sides)


def _beside(
    name: str, bench: Bench, xs: tuple[int, int], sides: tuple[Side, Side]
) -> Iterator[Sample]:
    """Measure two points of a curve in turn. Yield both, and the ratio of second to first."""
    seconds = bench.settings.curve_slice_seconds
    for take in (
        partial(enqueueing, f"{name}.enqueue", seconds),
        partial(living, f"{name}.life", seconds),
    ):
        for samples in in_pairs(bench.settings.curve_pairs, *sides, take):
            for x, sample in zip(xs, samples, strict=True):
                yield replace(sample, x=x)
            yield replace(ratio(*samples), x=xs[1])


def by_idle_workers(bench: Bench) -> Iterator[Sample]:
    """Measure with more and more workers that wait in a queue without jobs."""
    for x in bench.settings.idle_workers:
        with bench.fresh_server() as server, started_apart(idle, server.url, _IDLE, x):
            _wait_for_connections(server, x)
            args = ([QUEUE], _CONNECTIONS, bench.settings.curve_seconds)
            sample, outcome = measure("by_idle_workers.enqueue", server, enqueues, *args)
            verify.finish(server, [QUEUE], outcome.enqueued)
            yield replace(sample, x=x)
            done = outcome.count
            sample, outcome = measure("by_idle_workers.life", server, lives, *args)
            sent = outcome.enqueued
            verify.require_finished(server, [QUEUE], sent, outcome.finished, before=done)
            yield replace(sample, x=x)
        with bench.fresh_server() as server:
            waiting = [QUEUE, *[_IDLE] * (x - 1)]
            for sample in delivered("delivery_by_idle_workers", bench, server, waiting):
                yield replace(sample, x=x)


def _wait_for_connections(server: Server, connections: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while server.child.count_connections() < connections:
        if time.monotonic() > deadline:
            raise BenchmarkError(
                f"{connections} workers did not connect within {_PATIENCE_SECONDS:g} s"
            )
        time.sleep(_POLL_SECONDS)


def by_payload(bench: Bench) -> Iterator[Sample]:
    """Measure with larger and larger payloads."""
    for x in bench.settings.payload_bytes:
        payload = PAYLOAD | {"text": "x" * (x - len(str(PAYLOAD)))}
        args = ([QUEUE], _PAYLOAD_CONNECTIONS, bench.settings.curve_seconds, payload)
        with bench.fresh_server() as server:
            sample, outcome = measure("by_payload.enqueue", server, enqueues, *args)
            verify.finish(server, [QUEUE], outcome.enqueued)
            yield replace(sample, x=x)
        with bench.fresh_server() as server:
            sample, outcome = measure("by_payload.life", server, lives, *args)
            verify.require_finished(server, [QUEUE], outcome.enqueued, outcome.finished)
            yield replace(sample, x=x)


def offered_load(bench: Bench) -> Iterator[Sample]:
    """Measure latencies at fixed rates of requests."""
    for x in bench.settings.offered_per_second:
        with bench.fresh_server() as server:
            args = (QUEUE, _CONNECTIONS, float(x), bench.settings.curve_seconds)
            offer = run_apart(offered, server.url, *args)
            offer.outcome.require(201)
            verify.finish(server, [QUEUE], offer.outcome.enqueued)
            if not offer.outcome.count:
                raise BenchmarkError("the load did no job")
            details = {"done_per_second": offer.outcome.rate}
            if len(offer.late):
                details["generator_late_p99_ms"] = offer.late.percentile(99)
            for percent in (50.0, 90.0, 99.0, 99.9):
                value = offer.outcome.latencies.percentile(percent)
                yield Sample(f"offered.p{percent:g}", value, x=x, details=details)
