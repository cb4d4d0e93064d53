"""One worker process drains a queue of no-op jobs: jobs a second, and not one of them failed.

python benchmarks/drain.py --jobs 20000 --concurrency 50 --rounds 3
"""

import argparse
import multiprocessing
import statistics
import time

from server import running_server

from corvo_client import Client
from corvo_client.worker import Worker

QUEUE = "noop"
_BATCH = 1000


def main() -> None:
    """Measure a few rounds and print their median."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rates = [measure(options.jobs, options.concurrency) for _ in range(options.rounds)]
    spread = f"{min(rates):,.0f} to {max(rates):,.0f}"
    print(f"drained {statistics.median(rates):,.0f} jobs/s   ({spread})")


def measure(jobs: int, concurrency: int) -> float:
    """Jobs a second, from the first ack that was seen to the last: without the start."""
    with running_server("--log-level", "info") as url, Client(url) as client:
        for first in range(0, jobs, _BATCH):
            count = min(_BATCH, jobs - first)
            client.enqueue_batch(
                [{"queue": QUEUE, "payload": {"number": first + i}} for i in range(count)]
            )
        worker = multiprocessing.get_context("spawn").Process(target=work, args=(url, concurrency))
        worker.start()
        while not (before := client.get_queue(QUEUE).completed):
            time.sleep(0.01)
        started = time.perf_counter()
        while client.get_queue(QUEUE).completed < jobs:
            time.sleep(0.01)
        seconds = time.perf_counter() - started
        worker.terminate()
        worker.join()
        queue = client.get_queue(QUEUE)
        if (queue.completed, queue.failed, queue.active, queue.pending) != (jobs, 0, 0, 0):
            raise SystemExit(f"not every job is completed by one attempt: {queue!r}")
        return (jobs - before) / seconds


def work(url: str, concurrency: int) -> None:
    """Run a worker until SIGTERM."""
    worker = Worker(url, concurrency=concurrency)

    @worker.task(QUEUE)
    async def noop(number: int) -> None:
        del number

    worker.run()


if __name__ == "__main__":
    main()
