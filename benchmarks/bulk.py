"""What a bulk retry of many jobs does to the workers that keep fetching meanwhile.

    python benchmarks/bulk.py --jobs 100000 --workers 20

Two queues on one server: dead jobs to be retried in one, work for the workers in the other. Prints
the workers' fetch latencies before and during the operation, and how long it took.
"""

import argparse
import asyncio
import json
import time
from typing import Any

from load import Connection, Outcome, request
from server import running_server

_BATCH = 1000
API = "/api/v1"


async def call(
    connection: Connection, url: str, method: str, path: str, body: object = None
) -> dict[str, Any]:
    """One request; its JSON."""
    status, text = await connection.ask(request(url, method, API + path, body))
    if status not in {200, 201, 202, 204}:
        raise SystemExit(f"{method} {path}: {status} {text[:200]!r}")
    answer: dict[str, Any] = json.loads(text)
    return answer


async def bury(url: str, jobs: int) -> None:
    """Make that many dead jobs."""
    connection = await Connection.open(url)
    for _ in range(0, jobs, _BATCH):
        batch = {"jobs": [{"queue": "graves", "max_retries": 1}] * _BATCH}
        await call(connection, url, "POST", "/enqueue/batch", batch)
        for _ in range(0, _BATCH, 500):
            fetch = {"queues": ["graves"], "worker_id": "digger", "count": 500}
            found = await call(connection, url, "POST", "/fetch/batch", fetch)
            fails = [
                {"job_id": job["job_id"], "lease_token": job["lease_token"], "error": "no"}
                for job in found["jobs"]
            ]
            await call(connection, url, "POST", "/fail/batch", {"fails": fails})
    connection.close()


async def work(url: str, outcome: Outcome, stop: asyncio.Event) -> None:
    """One worker with its producer: enqueue, fetch, ack, a little pause; the fetches are timed."""
    connection = await Connection.open(url)
    fetch = request(url, "POST", f"{API}/fetch", {"queues": ["live"], "worker_id": "w"})
    while not stop.is_set():
        await call(connection, url, "POST", "/enqueue", {"queue": "live"})
        sent = time.perf_counter()
        status, text = await connection.ask(fetch)
        outcome.latencies.append(time.perf_counter() - sent)
        outcome.statuses[status] = outcome.statuses.get(status, 0) + 1
        job = json.loads(text)
        await call(
            connection, url, "POST", f"/ack/{job['job_id']}", {"lease_token": job["lease_token"]}
        )
        await asyncio.sleep(0.02)
    connection.close()


async def ended(connection: Connection, url: str, bulk_id: str) -> int:
    """Wait for the end of a bulk operation; how many jobs it changed."""
    while True:
        state = await call(connection, url, "GET", f"/bulk/{bulk_id}")
        if state["status"] == "completed":
            return int(state["affected"])
        await asyncio.sleep(0.05)


async def measure(url: str, jobs: int, workers: int) -> None:
    """Fetch latencies before and during the bulk retry."""
    await bury(url, jobs)
    operator = await Connection.open(url)
    before, during = Outcome(), Outcome()
    for outcome in (before, during):
        stop = asyncio.Event()
        tasks = [asyncio.create_task(work(url, outcome, stop)) for _ in range(workers)]
        started = time.perf_counter()
        if outcome is before:
            await asyncio.sleep(5)
        else:
            bulk = {"action": "retry", "filter": {"queue": "graves", "state": ["dead"]}}
            accepted = await call(operator, url, "POST", "/jobs/bulk", bulk)
            affected = await ended(operator, url, accepted["bulk_operation_id"])
            seconds = time.perf_counter() - started
            print(f"bulk retry: {affected} of {jobs} jobs in {seconds:.1f} s")
        stop.set()
        await asyncio.gather(*tasks)
        outcome.check(200)
        name = "before" if outcome is before else "during"
        p50, p99 = (outcome.percentile(p) * 1000 for p in (0.5, 0.99))
        print(f"fetch {name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(outcome.latencies)} fetches")


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=20)
    options = parser.parse_args()
    with running_server("--log-level", "info") as url:
        asyncio.run(measure(url, options.jobs, options.workers))


if __name__ == "__main__":
    main()
