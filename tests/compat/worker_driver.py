"""Runs the third-party worker, without the packages of this repository.

    python -I -S worker_driver.py SDKS OPTIONS

SDKS is the directory of the third-party SDKs. OPTIONS are JSON: options of the client, options of
the worker, and `beat`, which replaces the 15 seconds between heartbeats. The payload of a job
selects what its handler does. The output has a line of JSON for each step.
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


def report(**what: Any) -> None:
    with _printing:
        print(json.dumps(what), flush=True)


def handle(job: dict[str, Any], context: JobContext) -> None:
    report(started=job["job_id"], **{name: job[name] for name in ("attempt", "checkpoint", "tags")})
    match job["payload"]:
        case {"fail_before": attempt} if job["attempt"] < attempt:
            context.progress(job["attempt"], attempt, "trying")
            context.checkpoint({"tried": job["attempt"]})
            raise RuntimeError(f"broke at attempt {job['attempt']}")
        case {"until_cancelled": True}:
            while not context.is_cancelled():
                time.sleep(0.01)
            report(cancelled=job["job_id"])
            raise RuntimeError("cancelled")
        case {"sleep": seconds}:
            time.sleep(seconds)
    report(finished=job["job_id"])


def shorten_pauses(beat: float) -> None:
    """Limit the sleeps of the worker's code, and of no other code, to `beat` seconds."""
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
    report(stopped=True)


if __name__ == "__main__":
    main()
