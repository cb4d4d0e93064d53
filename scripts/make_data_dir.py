"""Write the database of this version of the server, as test data for upgrades of later versions.

    python scripts/make_data_dir.py

Run it once for each release. It writes two files to `tests/docker/data/`: the database,
`corvo-VERSION.db.gz`, and the server's description of its contents, `corvo-VERSION.json`. Do not
write them again after the release. `tests/docker/test_upgrade.py` starts the image on each of them.
"""

import gzip
import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from corvo_client import (
    AckItem,
    BatchOptions,
    Client,
    EventType,
    FetchedJob,
    HeartbeatJob,
    JobEvent,
)
from corvo_client.testing import LocalServer
from corvo_server.__about__ import __version__

OUT = Path(__file__).parent.parent / "tests/docker/data"
FAR = "2999-12-31T00:00:00.000Z"
DAY = 86_400
"""Longest lease duration, in seconds. The lease has expired when a test starts on the data."""
YEARS = "3650d"
"""Longest duration that a job can have."""


def main() -> None:
    """Write both files."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        with LocalServer(data_dir) as server, Client(server.url) as client:
            ids = fill(client)
            contents = describe(client, ids)
        if (data_dir / "corvo.db-wal").exists():
            raise RuntimeError("the server did not shut down properly: corvo.db-wal still exists")
        database = (data_dir / "corvo.db").read_bytes()
    OUT.mkdir(exist_ok=True)
    path = OUT / f"corvo-{__version__}.db.gz"
    path.write_bytes(gzip.compress(database, mtime=0))
    described = json.dumps(contents, indent=1, sort_keys=True) + "\n"
    path.with_name(f"corvo-{__version__}.json").write_text(described, encoding="utf-8")


def fill(client: Client) -> dict[str, str]:
    """Create jobs in every state, a batch, queue settings and a schedule. Return ids by name."""
    ids: dict[str, str] = {}

    def enqueue(name: str, payload: Any = None, **options: Any) -> str:
        ids[name] = client.enqueue(f"q-{name}", payload, **options).job_id
        return ids[name]

    enqueue("scheduled", {"when": "far"}, scheduled_at=FAR, tags={"tenant": "a", "kind": "late"})
    enqueue("pending", {"big": 2**80, "text": "ünïcode"}, priority="high", unique_key="one")
    enqueue("second", [1, 2.5, None], priority="critical", concurrency_key="a", expire_after=YEARS)

    enqueue("completed", {"n": 1}, max_retries=5, retry_base_delay="1ms", retry_backoff="fixed")
    client.fail(
        fetch(client, "completed"), "ValueError: the first time", backtrace="line 1\nline 2"
    )
    client.ack(fetch(client, "completed"), {"answer": 42})

    enqueue("active", {"n": 2})
    active = fetch(client, "active", lease_duration=DAY)
    beat = HeartbeatJob.model_validate(
        {
            "lease_token": active.lease_token,
            "checkpoint": {"row": 7},
            "progress": {"current": 7, "total": 10, "message": "rows"},
        }
    )
    client.heartbeat({active.job_id: beat}, worker_id="worker")

    enqueue("retrying", 3, retry_base_delay=YEARS, retry_max_delay=YEARS)
    client.fail(fetch(client, "retrying"), "TimeoutError: later")
    enqueue("dead", "text")
    client.fail(fetch(client, "dead"), "KeyError: never", retry=False)
    client.cancel_job(enqueue("cancelled"))

    batch = client.enqueue_batch(
        [{"queue": "q-batch", "payload": n} for n in range(3)],
        batch=BatchOptions(callback_queue="q-callback", callback_payload={"report": 1}),
    )
    ids["batch"] = str(batch.batch_id)
    done = client.fetch_batch(["q-batch"], worker_id="worker", count=2)
    client.ack_batch([AckItem(job_id=job.job_id, lease_token=job.lease_token) for job in done])
    (ids["batch job"],) = set(batch.job_ids) - {job.job_id for job in done}

    client.pause_queue("q-second")
    client.limit_queue("q-pending", 10, per_key=2)
    client.throttle_queue("q-pending", 100, "1m")
    client.put_schedule(
        "new-year",
        queue="q-schedule",
        cron="0 0 1 1 *",
        payload={"year": True},
        timezone="Europe/Berlin",
        misfire="skip",
        tags={"kind": "yearly"},
    )
    client.pause_schedule("new-year")
    ids["scheduled job"] = str(client.run_schedule("new-year").job_id)
    client.bulk("move", job_ids=[ids["scheduled job"]], move_to_queue="q-moved")
    return ids


def describe(client: Client, ids: dict[str, str]) -> dict[str, Any]:
    """Return the server's replies about the contents: jobs, queues, schedule, batch, events."""
    jobs = {name: job_id for name, job_id in ids.items() if name != "batch"}
    return {
        "ids": ids,
        "jobs": {name: _as_json(client.get_job(job_id)) for name, job_id in jobs.items()},
        "queues": {queue.name: _as_json(queue) for queue in client.list_queues()},
        "schedule": _as_json(client.get_schedule("new-year", upcoming=0)),
        "batch": _as_json(client.get_batch(ids["batch"])),
        "events": [_as_json(event) for event in _events(client, ids["scheduled job"])],
    }


def _events(client: Client, last: str) -> Iterator[JobEvent]:
    """Yield the event log up to the move of the job with id `last`."""
    with closing(client.follow_events(after=0)) as events:
        for event in events:
            yield event
            if (event.job_id, event.type) == (last, EventType.MOVED):
                return


def fetch(client: Client, name: str, **options: Any) -> FetchedJob:
    """Fetch a job from the queue `q-{name}`. Raises `RuntimeError` if it has none."""
    job = client.fetch([f"q-{name}"], worker_id="worker", timeout=10, **options)
    if job is None:
        raise RuntimeError(f"the queue q-{name} has no job")
    return job


def _as_json(model: Any) -> Any:
    """Return `model` as JSON values, without the timeline of a job, which repeats its events."""
    return model.model_dump(mode="json", exclude={"timeline"})


if __name__ == "__main__":
    main()
