"""Jobs and schedules with secret values in their payloads and everywhere else."""

from typing import Any, NamedTuple

import orjson

from corvo_schema import ScheduleRequest
from server_support.bench import Bench, make_job
from server_support.http import HttpServer

CANARY = "CANARY"
"""What every secret text contains, and nothing else."""
SECRET = f'{CANARY}-4111"é\\'
PIN = 987654321
CARD = {"number": SECRET, "pin": PIN, "old": [{f"{CANARY} 5105": SECRET}]}
PAYLOAD = {"card": CARD, "note": "open"}
RULES = ("pay.*:$.card.*", "pay.done:$.payload.card.*")


class Secrets(NamedTuple):
    """Objects that contain secret values: ids and names."""

    jobs: list[str]
    batch: str
    bulk: str
    schedule: str


async def make_secrets(bench: Bench, server: HttpServer) -> Secrets:
    """Put secret values wherever a caller can put them. The rules must be `RULES`."""
    worst: dict[str, Any] = {
        "payload": PAYLOAD,
        "tags": {SECRET[:30]: f"card {SECRET}"},
        "concurrency_key": f"c{SECRET}",
    }
    ids = []
    for end in ("ack", "dead", "cancel", "active", "pending"):
        job_id = await bench.enqueue("pay.a", unique_key=f"{end} {SECRET}", **worst)
        ids.append(job_id)
        if end == "pending":
            continue
        job = await bench.fetch_one("pay.a")
        progress = {"current": PIN, "total": 2, "message": SECRET}
        await bench.heartbeat(job, progress=progress, checkpoint={SECRET: [PIN, SECRET]})
        if end == "ack":
            await bench.ack(job, result=[SECRET, {"pin": float(PIN)}])
        elif end in {"dead", "cancel"}:
            error = f"declined: {SECRET!r}"
            await bench.fail(
                job, error, backtrace=f"pay({PAYLOAD!r})", retry=False, cancel=end == "cancel"
            )
    _, batch = await bench.enqueue_batch(
        make_job("pay.a", payload=PAYLOAD), callback="pay.done", callback_payload=PAYLOAD
    )
    found = await bench.engine.batches.get(str(batch))
    job = await bench.fetch_one("pay.a")
    while job.head.batch_id != found.id:
        job = await bench.fetch_one("pay.a")
    await bench.ack(job)
    assert found.callback_job_id is not None
    ids.append(found.callback_job_id)
    body = {
        "filter": {"queue": "pay.a", "payload_contains": CANARY, "state": ["dead"]},
        "action": "requeue",
        "async": True,
    }
    bulk = (await server.post("/jobs/bulk", body)).json["bulk_operation_id"]
    while await bench.engine.bulk.step():
        pass
    schedule = ScheduleRequest.model_validate(
        {
            "name": "charge",
            "queue": "pay.b",
            "cron": "* * * * *",
            "unique_key": SECRET,
            "tags": {"card": SECRET},
            "concurrency_key": SECRET,
        }
    )
    await bench.engine.schedules.put(schedule, orjson.dumps(PAYLOAD))
    for _ in range(3):
        bench.clock.forward(60_000)
        await bench.engine.schedules.run_due()
    stored = await bench.engine.schedules.get("charge")
    assert CANARY in str(stored.last_skip_reason)
    return Secrets(ids, str(batch), bulk, "charge")
