"""Define the metrics and curves: names, titles, units and goals."""

from dataclasses import dataclass
from enum import StrEnum


class Reference(StrEnum):
    """Names of the ceilings. A ceiling bounds a metric of the same run from above."""

    BARE_1 = "ceiling.bare.1"
    BARE_50 = "ceiling.bare.50"
    SANIC_1 = "ceiling.sanic.1"
    SANIC_50 = "ceiling.sanic.50"
    FSYNC = "ceiling.fsync"


@dataclass(frozen=True)
class Metric:
    """A metric. `to_reach` is its goal and `beyond` its stretch goal, both in `unit`.

    Dividing by `reference`, a ceiling, makes values of different machines comparable.
    """

    name: str
    title: str
    unit: str
    is_more_better: bool = True
    to_reach: float | None = None
    beyond: float | None = None
    reference: Reference | None = None


def _rate(
    name: str,
    title: str,
    to_reach: float | None = None,
    beyond: float | None = None,
    reference: Reference | None = Reference.SANIC_50,
) -> Metric:
    return Metric(name, title, "jobs/s", True, to_reach, beyond, reference)


def _time(
    name: str,
    title: str,
    to_reach: float | None = None,
    beyond: float | None = None,
    unit: str = "ms",
) -> Metric:
    return Metric(name, title, unit, False, to_reach, beyond, Reference.SANIC_1)


CEILINGS = (
    Metric("ceiling.fsync", "4 KB appended and fsynced", "fsyncs/s"),
    *(
        Metric(f"ceiling.{server}.{count}", f"{title}, {connections}", "requests/s")
        for server, title in (
            ("bare", "Trivial server on a bare socket"),
            ("sanic", "Trivial Sanic handler"),
        )
        for count, connections in (
            (1, "1 connection"),
            (10, "10 connections"),
            (50, "50 connections"),
        )
    ),
)

TABLE = (
    _rate("enqueue.1", "Enqueue, one request per job, 1 connection", 1200, 2000, Reference.SANIC_1),
    _rate("enqueue.10", "Enqueue, one request per job, 10 connections", 5000, 7000),
    _rate("enqueue.50", "Enqueue, one request per job, 50 connections", 8000, 12000),
    _rate("life.1", "Enqueue, fetch and ack, 1 connection", 350, 600, Reference.SANIC_1),
    _rate("life.10", "Enqueue, fetch and ack, 10 connections", 1400, 2200),
    _rate("life.50", "Enqueue, fetch and ack, 50 connections", 3000, 4000),
    _rate("batch.enqueue.100", "Enqueue, 100 jobs per request", 35_000, 55_000),
    _rate("batch.enqueue.1000", "Enqueue, 1,000 jobs per request", 35_000, 55_000),
    _rate("batch.life", "Enqueue, fetch and ack, 100 jobs per request", 15_000, 25_000),
    _rate("client.serial", "`Client.enqueue`, one at a time", 800, 2000, Reference.SANIC_1),
    _rate("client.concurrent", "`AsyncClient.enqueue`, 50 in flight", 8000, 13_000),
    _rate("worker.drain", "One `Worker` process drains no-op jobs", 8000, 20_000),
    _time("delivery.p50", "Enqueue to one of 200 idle long polls, p50", 1.5, 0.8),
    _time("delivery.p99", "Enqueue to one of 200 idle long polls, p99", 5, 2),
)
SEEDED = (
    _rate("seeded.enqueue.50", "Enqueue, 50 connections", None, None),
    _rate("seeded.life.50", "Enqueue, fetch and ack, 50 connections"),
    _rate("seeded.batch.life", "Enqueue, fetch and ack, 100 jobs per request"),
    _time("seeded.delivery.p50", "Enqueue to one of 200 idle long polls, p50"),
    _time("seeded.delivery.p99", "Enqueue to one of 200 idle long polls, p99"),
    _time("queues.p50", "`GET /queues`, 20 queues, p50"),
    _time("queues.p99", "`GET /queues`, 20 queues, p99", 10, 3),
    _time("search.p50", "Search by queue, state and tag, first page, p50"),
    _time("search.p99", "Search by queue, state and tag, first page, p99", 50, 15),
    _time("start", "Start to healthy", 1.5, 0.7, "s"),
    Metric("memory.seeded", "Server memory after this load", "MB", False),
)
_SEEDED_TO_REACH = 0.85
"""Goal for rates with a full table, as a ratio to the rate with an empty one."""


def _with_jobs(metric: Metric) -> Metric:
    more = metric.is_more_better
    to_reach, beyond = (_SEEDED_TO_REACH, 1.0) if more else (1 / _SEEDED_TO_REACH, 1.0)
    return Metric(f"seeded.{metric.name}.ratio", metric.title, "", more, to_reach, beyond)


WITH_JOBS = tuple(
    _with_jobs(metric)
    for metric in TABLE
    if f"seeded.{metric.name}" in {seeded.name for seeded in SEEDED}
)
"""Ratios of a full table to an empty one, each from a pair of slices in turn."""
THROUGH = (Metric("memory.through", "Server memory after a long load", "MB", False, 150, 100),)
BULK = (
    _time("bulk.request.before.p99", "Requests of 10 busy connections, p99"),
    _time(
        "bulk.request.during.p99", "Requests of 10 busy connections while a bulk retry runs, p99"
    ),
    _rate("bulk.retry", "Bulk retry of dead jobs"),
)
GROUP_COMMIT = (
    _rate("commit.grouped", "Enqueue, 50 connections, group commit", None, None),
    _rate("commit.each", "Enqueue, 50 connections, one commit for each request"),
)
PEERS = (
    _rate("peer.serial", "enqueue, one at a time", reference=Reference.FSYNC),
    _rate("peer.concurrent", "enqueue, 50 in flight", reference=Reference.FSYNC),
    _rate("peer.bulk", "enqueue in bulk", reference=None),
    _rate("peer.drain", "drain by one worker process", reference=None),
    _rate("peer.steady", "steady, end to end", reference=None),
    _time("peer.pickup.p50", "pickup p50"),
    _time("peer.pickup.p99", "pickup p99"),
)
PEERS_CHART = next(metric for metric in PEERS if metric.name == "peer.steady")
"""The metric of the chart beside the comparison of the systems."""
PEERS_CHART_TITLE = "Jobs enqueued and run per second, end to end, by one worker process"


@dataclass(frozen=True)
class Curve:
    """Metrics along an axis, drawn in one chart."""

    name: str
    title: str
    axis: str
    metrics: tuple[Metric, ...]
    is_log_x: bool = False
    is_log_y: bool = False


def _curve(name: str, title: str, axis: str, *, is_log_x: bool = False) -> Curve:
    metrics = (
        _rate(f"{name}.enqueue", "enqueue, 50 connections"),
        _rate(f"{name}.life", "enqueue, fetch and ack, 50 connections"),
    )
    return Curve(name, title, axis, metrics, is_log_x)


CURVES = (
    _curve("by_finished", "Finished jobs in the table", "finished jobs"),
    _curve("by_queues", "Number of queues", "queues", is_log_x=True),
    _curve("by_idle_workers", "Workers that wait in other queues", "idle workers", is_log_x=True),
    Curve(
        "delivery_by_idle_workers",
        "Delivery to one worker among idle workers",
        "idle workers",
        (
            _time("delivery_by_idle_workers.p50", "p50"),
            _time("delivery_by_idle_workers.p99", "p99"),
        ),
        is_log_x=True,
    ),
    _curve("by_scheduled", "Jobs scheduled for later", "scheduled jobs"),
    Curve(
        "by_payload",
        "Payload size, 10 connections",
        "bytes",
        (
            _rate("by_payload.enqueue", "enqueue"),
            _rate("by_payload.life", "enqueue, fetch and ack"),
        ),
        is_log_x=True,
        is_log_y=True,
    ),
    Curve(
        "by_nodes",
        "Nodes on one PostgreSQL",
        "nodes",
        (
            _rate("by_nodes.enqueue", "enqueue, 50 connections"),
            _rate("by_nodes.life", "enqueue, fetch and ack, 50 connections"),
        ),
    ),
    Curve(
        "offered",
        "Latency of an enqueue at a fixed offered load (open loop, 50 connections)",
        "enqueues offered a second",
        tuple(
            _time(f"offered.p{percent}", f"p{percent}") for percent in ("50", "90", "99", "99.9")
        ),
        is_log_y=True,
    ),
)
SOAK = (
    Metric("soak.memory", "memory", "MB", False),
    Metric("soak.file", "database file", "MB", False),
    Metric("soak.kept", "finished jobs in the table", "jobs", False),
    _rate("soak.rate", "enqueue, fetch and ack, 100 jobs per request"),
)

_ALL = (*CEILINGS, *TABLE, *SEEDED, *WITH_JOBS, *THROUGH, *BULK, *GROUP_COMMIT, *PEERS, *SOAK)
BY_NAME = {
    metric.name: metric
    for metric in (*_ALL, *(metric for curve in CURVES for metric in curve.metrics))
}
