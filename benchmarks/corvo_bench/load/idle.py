"""Simulate workers that wait for jobs that do not come."""

from corvo_bench.load.raw_connection import Script, Tally, play, request, run_loop
from corvo_bench.server import API

_LONGEST_POLL = 60


def idle(url: str, queue: str, workers: int) -> None:
    """Keep `workers` long polls waiting until this process is terminated."""
    asked = {"queues": [queue], "worker_id": "idle", "timeout": _LONGEST_POLL}
    fetch = request(url, "POST", f"{API}/fetch", asked)

    def script() -> Script:
        while True:
            yield fetch

    run_loop(lambda: play(url, [script() for _ in range(workers)], Tally()))
