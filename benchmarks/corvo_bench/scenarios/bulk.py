"""Measure how a bulk operation on many jobs slows busy workers."""

import time
from collections.abc import Iterator

from corvo_bench.children import started_apart
from corvo_bench.load import verify
from corvo_bench.load.closed import lives
from corvo_bench.results import BenchmarkError, Sample
from corvo_bench.scenarios.bench import FINE, Bench, measure
from corvo_bench.server import Server

_WORKERS = 10
_DEAD = "dead"
_BEFORE = "before"
_DURING = "during"
_PER_REQUEST = 500
_HEAD_START_SECONDS = 0.5
_POLL_SECONDS = 0.02


def bulk(bench: Bench) -> Iterator[Sample]:
    """Retry many dead jobs of one queue while another queue is under load."""
    jobs = bench.settings.bulk_jobs
    seconds = bench.settings.seconds
    with bench.fresh_server() as server:
        _make_dead(server, jobs)
        _, outcome = measure("bulk", server, lives, [_BEFORE], _WORKERS, seconds)
        verify.require_finished(server, [_BEFORE], outcome.enqueued, outcome.finished)
        yield Sample("bulk.request.before.p99", outcome.latencies.percentile(99))
        with started_apart(lives, server.url, [_DURING], _WORKERS, seconds) as result:
            time.sleep(_HEAD_START_SECONDS)
            started = time.perf_counter()
            retried = _retry(server)
            took = time.perf_counter() - started
            outcome = result()
        outcome.require(*FINE)
        verify.require_finished(server, [_DURING], outcome.enqueued, outcome.finished)
        if retried != jobs:
            raise BenchmarkError(f"{retried} of {jobs} dead jobs were retried")
        yield Sample("bulk.request.during.p99", outcome.latencies.percentile(99))
        yield Sample("bulk.retry", jobs / took)


def _make_dead(server: Server, jobs: int) -> None:
    """Make `jobs` dead jobs."""
    for start in range(0, jobs, _PER_REQUEST):
        count = min(_PER_REQUEST, jobs - start)
        server.ask("POST", "/enqueue/batch", {"jobs": [{"queue": _DEAD}] * count})
        asked = {"queues": [_DEAD], "worker_id": "failing", "count": count}
        fails = [
            {"job_id": job["job_id"], "lease_token": job["lease_token"], "error": "no"}
            | {"retry": False}
            for job in server.ask("POST", "/fetch/batch", asked)["jobs"]
        ]
        server.ask("POST", "/fail/batch", {"fails": fails})


def _retry(server: Server) -> int:
    wanted = {"action": "retry", "filter": {"queue": _DEAD, "state": ["dead"]}}
    accepted = server.ask("POST", "/jobs/bulk", wanted)
    if "bulk_operation_id" not in accepted:
        return int(accepted["affected"])
    while True:
        state = server.ask("GET", f"/bulk/{accepted['bulk_operation_id']}")
        if state["status"] == "completed":
            return int(state["affected"])
        time.sleep(_POLL_SECONDS)
