"""The scenarios by name, in groups that run together."""

from corvo_bench.scenarios import (
    bulk,
    ceilings,
    clients,
    curves,
    delivery,
    lasting,
    seeded,
    throughput,
)
from corvo_bench.scenarios.bench import Scenario

TABLE: dict[str, Scenario] = {
    "ceilings": ceilings.ceilings,
    "enqueue": throughput.enqueue,
    "life": throughput.life,
    "batch": throughput.batch,
    "client": clients.client,
    "worker": clients.worker,
    "delivery": delivery.delivery,
    "seeded": seeded.seeded,
    "bulk": bulk.bulk,
    "commit": throughput.commit,
}
"""Scenarios that run `rounds` times, in turn."""

CURVES: dict[str, Scenario] = {
    "offered": curves.offered_load,
    "by_finished": curves.by_finished,
    "by_queues": curves.by_queues,
    "by_idle_workers": curves.by_idle_workers,
    "by_scheduled": curves.by_scheduled,
    "by_payload": curves.by_payload,
}
"""Scenarios that run `curve_rounds` times, in turn."""

ONCE: dict[str, Scenario] = {
    "search": seeded.search,
    "through": lasting.through,
    "soak": lasting.soak,
}
"""Scenarios that run once, because one run takes long and covers many requests."""
