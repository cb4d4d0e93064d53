"""The requests that all front-ends have answered, added up for the one place that is scraped."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from corvo_server.engine.metrics import RequestMetrics
from corvo_server.processes.wire import Sample

_CREATED = "_created"

_Key = tuple[str, tuple[tuple[str, str], ...]]


def samples_of(metrics: RequestMetrics) -> list[Sample]:
    """The present values."""
    return [
        Sample(sample.name, sample.labels, sample.value)
        for collector in metrics.collectors
        for family in collector.collect()
        for sample in family.samples
        if not sample.name.endswith(_CREATED)
    ]


class RequestCounts(Collector):
    """What each front-end told last. What one told that has ended since goes on to count."""

    def __init__(self) -> None:
        self._families = [
            family
            for collector in RequestMetrics(CollectorRegistry()).collectors
            for family in collector.collect()
        ]
        self._by_source: dict[Hashable, dict[_Key, float]] = {}
        self._ended: dict[_Key, float] = {}

    def note(self, source: Hashable, samples: Iterable[Sample]) -> None:
        """These are the values of a front-end now."""
        self._by_source[source] = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples
        }

    def keep(self, source: Hashable) -> None:
        """A front-end has ended: its values are final."""
        self._ended = _sum([self._ended, self._by_source.pop(source, {})])

    def collect(self) -> Iterator[Metric]:
        """The sums, for the registry."""
        values = _sum([self._ended, *self._by_source.values()])
        for family in self._families:
            metric = Metric(family.name, family.documentation, family.type)
            for (name, labels), value in values.items():
                if name.startswith(family.name):
                    metric.add_sample(name, dict(labels), value)
            yield metric


def _sum(parts: Sequence[dict[_Key, float]]) -> dict[_Key, float]:
    total: defaultdict[_Key, float] = defaultdict(float)
    for part in parts:
        for key, value in part.items():
            total[key] += value
    return dict(total)
