"""Fixtures: results of a run."""

import pytest

from corvo_bench.results import Results, Sample


@pytest.fixture
def results() -> Results:
    """Return the results of a run that has measured nothing."""
    machine = {
        "cpu": "Some CPU",
        "cores": 2,
        "memory_gb": 8.0,
        "kernel": "Linux 6.1",
        "filesystem": "ext4",
        "load_before": [0.1, 0.2, 0.3],
        "load_after": [1.5, 1.0, 0.5],
    }
    settings = {"seed_jobs": 1_000_000}
    return Results("2026-01-01", machine, {"python": "3.11.2"}, settings)


@pytest.fixture
def measured(results: Results) -> Results:
    """Return the results of a run of three rounds."""
    for value in (900.0, 1500.0, 1300.0):
        results.add([Sample("enqueue.1", value, details={"server_cpu_us": value / 10})])
    for x in (0.0, 1000.0):
        results.add([Sample("by_finished.enqueue", 5000.0 - x, x=x)])
    results.add([Sample("peer.serial", 1200.0), Sample("peer.serial", 700.0, "Another")])
    results.add([Sample("peer.pickup.p50", 1.2), Sample("peer.pickup.p50", 3.4, "Another")])
    results.omit("A third", "it is not installed")
    return results
