"""Runs the worker that others wrote. Runs where their SDKs are, and nothing of us.

    python -I -S worker_driver.py SDKS OPTIONS

SDKS is the directory that they were installed into; OPTIONS are JSON: those of the client, those of
the worker, and `beat`, by which its pauses of 15 seconds between heartbeats are shortened. A job's
payload says what its handler does; a line of output says how that went.
"""

import json
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, sys.argv[1])

import corvo_worker.worker
from corvo_worker import CorvoWorker, JobContext, WorkerConfig

from corvo_client import CorvoClient

_printing = threading.Lock()


def tell(**what: Any) -> None:
    with _printing:
        print(json.dumps(what), flush=True)


def handle(job: dict[str, Any], context: JobContext) -> None:
    tell(started=job["job_id"], **{name: job[name] for name in ("attempt", "checkpoint", "tags")})
    match job["payload"]:
        case {"fail_before": attempt} if job["attempt"] < attempt:
            context.progress(job["attempt"], attempt, "trying")
            context.checkpoint({"tried": job["attempt"]})
            raise RuntimeError(f"broke at attempt {job['attempt']}")
        case {"until_cancelled": True}:
            while not context.is_cancelled():
                time.sleep(0.01)
            tell(cancelled=job["job_id"])
            raise RuntimeError("cancelled")
        case {"sleep": seconds}:
            time.sleep(seconds)
    tell(finished=job["job_id"])


def shorten_pauses(beat: float) -> None:
    """Let the worker's own code, and no other, sleep `beat` seconds where it would sleep longer."""
    corvo_worker.worker.time = SimpleNamespace(
        sleep=lambda seconds: time.sleep(min(seconds, beat)), time=time.time
    )


def main() -> None:
    options = json.loads(sys.argv[2])
    shorten_pauses(options["beat"])
    config = WorkerConfig(**options["worker"])
    worker = CorvoWorker(CorvoClient(**options["client"]), config)
    for queue in options["handled"]:
        worker.register(queue, handle)
    worker.start()
    tell(stopped=True)


if __name__ == "__main__":
    main()
