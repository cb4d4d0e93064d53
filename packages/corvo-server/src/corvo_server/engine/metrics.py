"""The server's metrics for Prometheus."""

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from operator import attrgetter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from corvo_schema.states import JobState
from corvo_server.engine.clock import Wall
from corvo_server.engine.notifier import Notifier
from corvo_server.store.protocol import Store
from corvo_server.store.queues import QueueRecord
from corvo_server.store.records import Commit
from corvo_server.store.search.search import SearchLoad
from corvo_server.store.storage import Storage

_TYPE = attrgetter("type")
_COMMITS_PER_UPDATE = 100
"""Number of commits after which the metrics are updated."""
_MAX_QUEUES = 1000
"""Number of queues with a label of their own. The others share one: callers choose the names."""
_OTHER_QUEUES = "_other"
_OPERATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_COMMIT_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60)
_LAG_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300)


class Metrics:
    """The server's counters, histograms and gauges, in their own registry."""

    def __init__(self, store: Store, notifier: Notifier, wall: Wall) -> None:
        self.registry = CollectorRegistry()
        self._queues = _QueueCollector(store, notifier, wall)
        self.registry.register(self._queues)
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "corvo_http_requests_total",
            "HTTP requests answered, by method, route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "corvo_http_request_seconds",
            "Time to answer a request, by route. For fetches it includes the wait for a job.",
            ("route",),
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self.event_streams = Gauge(
            "corvo_event_streams",
            "Number of open event streams.",
            registry=self.registry,
        )
        self.unread_streams = Counter(
            "corvo_event_streams_unread_total",
            "Event streams that the server ended because their viewer did not read them.",
            registry=self.registry,
        )
        self.connections = Gauge(
            "corvo_connections", "Number of open connections.", registry=self.registry
        )
        self.tls_expires = Gauge(
            "corvo_tls_certificate_expires_seconds",
            "Unix time at which the TLS certificate expires; 0 without TLS.",
            registry=self.registry,
        )
        self.body_bytes = Gauge(
            "corvo_body_bytes",
            "Bytes of the request bodies in progress, without those that arrive in one piece.",
            registry=self.registry,
        )
        self.unread_bytes = Gauge(
            "corvo_unread_bytes",
            "Bytes of the replies that wait for their clients to read.",
            registry=self.registry,
        )
        self.refusals = Counter(
            "corvo_refusals_total",
            "Refused requests and connections, by budget: bodies, replies, connections or address.",
            ("budget",),
            registry=self.registry,
        )
        self._sizes: list[tuple[int, float, float]] = []
        self._lags: list[int] = []
        self._event_counts: Tally[str] = Tally()
        self.job_events = Counter(
            "corvo_job_events_total",
            "Events of jobs, by type: enqueued, started, completed, retrying, dead and others.",
            ("type",),
            registry=self.registry,
        )
        self.lease_expiries = Counter(
            "corvo_lease_expiries_total",
            "Leases that expired: the worker sent no ack, fail, release or heartbeat in time.",
            registry=self.registry,
        )
        self.commit_operations = Histogram(
            "corvo_commit_operations",
            "Number of operations in a group commit.",
            buckets=_OPERATIONS,
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "corvo_commit_seconds",
            "Time to write a commit to stable storage.",
            buckets=_COMMIT_SECONDS,
            registry=self.registry,
        )
        self.commit_sync_seconds = Histogram(
            "corvo_commit_sync_seconds",
            "Time of the COMMIT alone: on SQLite, the fsync of the write-ahead log.",
            buckets=_COMMIT_SECONDS,
            registry=self.registry,
        )
        self.promotion_lag = Histogram(
            "corvo_promotion_lag_seconds",
            "Promotion lag of scheduled and retrying jobs: promotion time minus due time.",
            buckets=_LAG_SECONDS,
            registry=self.registry,
        )

    def note(self, commit: Commit) -> None:
        """Record a commit for the metrics."""
        # Replies wait for this call. The metrics are updated later, for many commits at once.
        self._sizes.append((commit.operations, commit.seconds, commit.sync_seconds))
        self._lags += commit.promoted_late
        self._event_counts.update(map(_TYPE, commit.events))
        if len(self._sizes) >= _COMMITS_PER_UPDATE:
            self._update()

    def render(
        self, queues: Sequence[QueueRecord], now: int, *, only_queues: bool = False
    ) -> bytes:
        """Return all metrics as Prometheus text; `queues` as of `now` (ms since the epoch).

        With `only_queues`, return only the metrics by queue.
        """
        if only_queues:
            registry = CollectorRegistry()
            registry.register(_Families(_metrics_by_queue(queues, now)))
            return generate_latest(registry)
        self._update()
        self._queues.set(queues, now)
        return generate_latest(self.registry)

    def _update(self) -> None:
        for operations, seconds, sync_seconds in self._sizes:
            self.commit_operations.observe(operations)
            self.commit_seconds.observe(seconds)
            self.commit_sync_seconds.observe(sync_seconds)
        for late in self._lags:
            self.promotion_lag.observe(late / 1000)
        for event, times in self._event_counts.items():
            self.job_events.labels(event).inc(times)
        self._sizes.clear()
        self._lags.clear()
        self._event_counts.clear()


class _Families(Collector):
    """Metrics that were computed already."""

    def __init__(self, families: Iterator[Metric]) -> None:
        self._families = [*families]

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _metrics_by_queue(queues: Sequence[QueueRecord], now: int) -> Iterator[Metric]:
    jobs: Tally[tuple[str, str]] = Tally()
    ages: dict[str, float] = {}
    for i, record in enumerate(queues):
        name = record.name if i < _MAX_QUEUES else _OTHER_QUEUES
        for state in JobState:
            jobs[name, state.value] += getattr(record, state.value)
        oldest = record.oldest_pending_at
        age = 0.0 if oldest is None else max(0, now - oldest) / 1000
        ages[name] = max(age, ages.get(name, 0.0))
    by_state = GaugeMetricFamily(
        "corvo_jobs", "Number of stored jobs, by queue and state.", labels=("queue", "state")
    )
    for (name, state_name), number in jobs.items():
        by_state.add_metric((name, state_name), number)
    yield by_state
    oldest_age = GaugeMetricFamily(
        "corvo_oldest_pending_seconds",
        "Waiting time of the next pending job of a queue, the longest over its priorities.",
        labels=("queue",),
    )
    for name, age in ages.items():
        oldest_age.add_metric((name,), age)
    yield oldest_age


class _QueueCollector(Collector):
    """Gauges that are computed when the metrics are rendered."""

    def __init__(self, store: Store, notifier: Notifier, wall: Wall) -> None:
        self._store = store
        self._wall = wall
        self._notifier = notifier
        self._records: Sequence[QueueRecord] = ()
        self._now = 0

    def set(self, records: Sequence[QueueRecord], now: int) -> None:
        self._records = records
        self._now = now

    def collect(self) -> Iterator[Metric]:
        yield from _metrics_by_queue(self._records, self._now)
        yield GaugeMetricFamily(
            "corvo_waiting_fetches",
            "Number of fetches that wait for a job.",
            value=self._notifier.waiting,
        )
        yield GaugeMetricFamily(
            "corvo_write_backlog",
            "Number of writes that wait for their commit.",
            value=self._store.backlog,
        )
        yield GaugeMetricFamily(
            "corvo_write_backlog_bytes",
            "Memory of the writes that wait for their commit.",
            value=self._store.backlog_bytes,
        )
        yield GaugeMetricFamily(
            "corvo_clock_offset_seconds",
            "Wall-clock time minus the server's time: the sum of the jumps of the wall clock.",
            value=self._wall.offset / 1000,
        )
        yield CounterMetricFamily(
            "corvo_clock_jumps",
            "Jumps of the wall clock that this server noted: forward or back by a second or more.",
            value=self._wall.jumps,
        )
        yield from _search_metrics(self._store.search_load)
        storage = self._store.storage
        if storage is not None:
            yield from _storage_metrics(storage)


def _search_metrics(load: SearchLoad) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "corvo_costly_searches",
        "Number of running searches that took longer than a quarter of a second, or are likely to.",
        value=load.costly,
    )
    yield GaugeMetricFamily(
        "corvo_waiting_searches",
        "Number of searches that wait for their turn.",
        value=load.waiting,
    )
    yield CounterMetricFamily(
        "corvo_searches_refused",
        "Searches that were refused because other searches took too long.",
        value=load.refused,
    )


def _storage_metrics(storage: Storage) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "corvo_database_bytes", "Size of the SQLite file.", value=storage.database_bytes
    )
    yield GaugeMetricFamily(
        "corvo_wal_bytes",
        "Size of SQLite's write-ahead log. It grows while a reader holds it back.",
        value=storage.log_bytes,
    )
    yield GaugeMetricFamily(
        "corvo_disk_free_bytes",
        "Free space of the disk of the data directory.",
        value=storage.free_bytes,
    )
    yield GaugeMetricFamily(
        "corvo_storage_room_bytes",
        "Space that new jobs may take, on the disk and on unused pages of the SQLite file. At 0 "
        "the server refuses new jobs.",
        value=storage.room_bytes,
    )
    yield GaugeMetricFamily(
        "corvo_oldest_reader_seconds",
        "Age of the oldest read of the SQLite file, or how long a reader of any process has held "
        "back the write-ahead log.",
        value=storage.oldest_reader_seconds,
    )
    yield CounterMetricFamily(
        "corvo_checkpoint_failures",
        "Failed checkpoints of SQLite's write-ahead log.",
        value=storage.failed_checkpoints,
    )
