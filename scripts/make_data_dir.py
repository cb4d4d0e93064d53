"""Writes a data directory as this version of the server leaves it, for later ones to start on.

    python scripts/make_data_dir.py

Run it once for each release: `tests/docker/data/corvo-VERSION.db.gz` is the database, `.json`
beside it what the server said of it at the end. Once that is released, both are never made again;
`tests/docker/test_upgrade.py` starts the image on each of them.
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
"""Seconds; the longest lease. It has run out when somebody starts on the data."""
YEARS = "3650d"
"""The longest time that a job can be told to wait."""


def main() -> None:
    """Make both files."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        with LocalServer(data_dir) as server, Client(server.url) as client:
            ids = fill(client)
            said = describe(client, ids)
        if (data_dir / "corvo.db-wal").exists():
            raise RuntimeError("the server has not ended in order: the file is not all there is")
        database = (data_dir / "corvo.db").read_bytes()
    OUT.mkdir(exist_ok=True)
    path = OUT / f"corvo-{__version__}.db.gz"
    path.write_bytes(gzip.compress(database, mtime=0))
    described = json.dumps(said, indent=1, sort_keys=True) + "\n"
    path.with_name(f"corvo-{__version__}.json").write_text(described, encoding="utf-8")


def fill(client: Client) -> dict[str, str]:
    """Bring about one of everything; the ids by what they are."""
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
    held = fetch(client, "active", lease_duration=DAY)
    beat = HeartbeatJob.model_validate(
        {
            "lease_token": held.lease_token,
            "checkpoint": {"row": 7},
            "progress": {"current": 7, "total": 10, "message": "rows"},
        }
    )
    client.heartbeat({held.job_id: beat}, worker_id="worker")

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
    """What the server says of all that."""
    jobs = {name: job_id for name, job_id in ids.items() if name != "batch"}
    return {
        "ids": ids,
        "jobs": {name: _plain(client.get_job(job_id)) for name, job_id in jobs.items()},
        "queues": {queue.name: _plain(queue) for queue in client.list_queues()},
        "schedule": _plain(client.get_schedule("new-year", upcoming=0)),
        "batch": _plain(client.get_batch(ids["batch"])),
        "events": [_plain(event) for event in _events(client, ids["scheduled job"])],
    }


def _events(client: Client, last: str) -> Iterator[JobEvent]:
    """The log, up to the move of the job that came last."""
    with closing(client.follow_events(after=0)) as events:
        for event in events:
            yield event
            if (event.job_id, event.type) == (last, EventType.MOVED):
                return


def fetch(client: Client, name: str, **options: Any) -> FetchedJob:
    """The job of a queue."""
    job = client.fetch([f"q-{name}"], worker_id="worker", timeout=10, **options)
    if job is None:
        raise RuntimeError(f"there is no job in q-{name}")
    return job


def _plain(model: Any) -> Any:
    """As JSON; a job's timeline is among the events anyway."""
    return model.model_dump(mode="json", exclude={"timeline"})


if __name__ == "__main__":
    main()
