"""What an operator measures the server by, for Prometheus."""

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from operator import attrgetter

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from corvo_schema.states import JobState
from corvo_server.engine.notifier import Notifier
from corvo_server.store.protocol import Store
from corvo_server.store.queues import (
    QueueRecord,
)
from corvo_server.store.records import (
    Commit,
)

_TYPE = attrgetter("type")
_NOTED = 100
"""Commits that are counted together."""
_MOST_QUEUES = 1000
"""Beyond, queues are added up under one label: their names are the users', and unbounded."""
_OTHER_QUEUES = "_other"
_OPERATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_COMMIT_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60)
_LAG_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300)


class Metrics:
    """The server's counters and histograms, in a registry of their own."""

    def __init__(self, store: Store, notifier: Notifier) -> None:
        self.registry = CollectorRegistry()
        self._queues = _QueueCollector(store, notifier)
        self.registry.register(self._queues)
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "corvo_http_requests_total",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "corvo_http_request_seconds",
            "Time to answer; of fetches, with the wait for a job.",
            ("route",),
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self._sizes: list[tuple[int, float]] = []
        self._lags: list[int] = []
        self._happened: Tally[str] = Tally()
        self.job_events = Counter(
            "corvo_job_events_total",
            "What happened to jobs: enqueued, started, completed, retrying, dead and so on.",
            ("type",),
            registry=self.registry,
        )
        self.lease_expiries = Counter(
            "corvo_lease_expiries_total",
            "Leases that ended without a word from the worker.",
            registry=self.registry,
        )
        self.commit_operations = Histogram(
            "corvo_commit_operations",
            "Operations that shared a commit.",
            buckets=_OPERATIONS,
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "corvo_commit_seconds",
            "Time to write a commit, to stable storage.",
            buckets=_COMMIT_SECONDS,
            registry=self.registry,
        )
        self.promotion_lag = Histogram(
            "corvo_promotion_lag_seconds",
            "How late scheduled and retrying jobs became pending.",
            buckets=_LAG_SECONDS,
            registry=self.registry,
        )

    def note(self, commit: Commit) -> None:
        """Count a commit and what it did."""
        # Answers wait for this: it is only taken down here, to be counted with others.
        self._sizes.append((commit.operations, commit.seconds))
        self._lags += commit.promoted_late
        self._happened.update(map(_TYPE, commit.events))
        if len(self._sizes) >= _NOTED:
            self._count_noted()

    def render(self, queues: Sequence[QueueRecord], now: int) -> bytes:
        """All of it as Prometheus text; `queues` as they are at `now` (ms)."""
        self._count_noted()
        self._queues.set(queues, now)
        return generate_latest(self.registry)

    def _count_noted(self) -> None:
        for operations, seconds in self._sizes:
            self.commit_operations.observe(operations)
            self.commit_seconds.observe(seconds)
        for late in self._lags:
            self.promotion_lag.observe(late / 1000)
        for event, times in self._happened.items():
            self.job_events.labels(event).inc(times)
        self._sizes.clear()
        self._lags.clear()
        self._happened.clear()


class _QueueCollector(Collector):
    """Gauges that are read when they are asked for."""

    def __init__(self, store: Store, notifier: Notifier) -> None:
        self._store = store
        self._notifier = notifier
        self._records: Sequence[QueueRecord] = ()
        self._now = 0

    def set(self, records: Sequence[QueueRecord], now: int) -> None:
        self._records = records
        self._now = now

    def collect(self) -> Iterator[Metric]:
        jobs: Tally[tuple[str, str]] = Tally()
        ages: dict[str, float] = {}
        for i, record in enumerate(self._records):
            name = record.name if i < _MOST_QUEUES else _OTHER_QUEUES
            for state in JobState:
                jobs[name, state.value] += getattr(record, state.value)
            oldest = record.oldest_pending_at
            age = 0.0 if oldest is None else max(0, self._now - oldest) / 1000
            ages[name] = max(age, ages.get(name, 0.0))
        by_state = GaugeMetricFamily(
            "corvo_jobs", "Jobs there are, by state.", labels=("queue", "state")
        )
        for (name, word), number in jobs.items():
            by_state.add_metric((name, word), number)
        yield by_state
        oldest_age = GaugeMetricFamily(
            "corvo_oldest_pending_seconds",
            "How long the first pending job of a queue has been waiting, of any priority.",
            labels=("queue",),
        )
        for name, age in ages.items():
            oldest_age.add_metric((name,), age)
        yield oldest_age
        yield GaugeMetricFamily(
            "corvo_waiting_fetches", "Fetches that wait for a job.", value=self._notifier.waiting
        )
        yield GaugeMetricFamily(
            "corvo_write_backlog", "Writes that wait for their commit.", value=self._store.backlog
        )
