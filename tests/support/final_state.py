"""Reads the final state of a server after the load, to compare it with a history."""

from collections.abc import Collection, Sequence

from server_support.waiting import wait_until
from support.api_client import ApiClient, Body
from support.history import History, Recorder
from support.history_checker import acknowledged_ids, recount
from support.load import QUEUES

LIVE = ("pending", "active", "scheduled", "retrying")
COUNTERS = (*LIVE, "completed", "dead", "cancelled", "enqueued", "failed")


async def finish_all_jobs(api: ApiClient, history: History, queues: Sequence[str] = QUEUES) -> None:
    """Complete all remaining jobs, also those whose ids no client received."""

    recorder = Recorder(api, history)

    async def is_quiet() -> bool:
        asked = {"queues": queues, "worker_id": "last", "count": 512, "timeout": 1}
        fetched = await recorder.call("fetch", asked)
        leases = [
            {"job_id": job["job_id"], "lease_token": job["lease_token"], "result": "last"}
            for job in fetched.answer["jobs"]
        ]
        assert all(call.is_done for call in await recorder.outcomes("ack", leases))
        found = [await api.queue(name) for name in queues]
        return not sum(queue[state] for queue in found for state in LIVE)

    await wait_until(is_quiet, "every job is finished")


async def jobs_of(api: ApiClient, history: History) -> dict[str, Body]:
    """Return the current state of every job whose id a client received, by id."""
    ids: dict[str, None] = {}
    for call in history.calls:
        if call.verb == "enqueue" and "job_id" in call.body:
            ids[call.body["job_id"]] = None
        elif call.verb == "enqueue_batch":
            ids.update((job["job_id"], None) for job in call.body["jobs"] if "job_id" in job)
        if call.verb in {"enqueue", "enqueue_batch"}:
            ids.update(dict.fromkeys(acknowledged_ids(call)))
        elif call.is_done and call.verb == "fetch":
            ids.update((job["job_id"], None) for job in call.answer["jobs"])
    found: list[Body] = []
    known = list(ids)
    for start in range(0, len(known), 5000):
        body = {"job_ids": known[start : start + 5000]}
        found += (await api.post("/jobs/bulk-get", body))["jobs"]
    return {job["id"]: job for job in found}


async def check_counters(
    api: ApiClient, jobs: dict[str, Body], except_queues: Collection[str] = ()
) -> None:
    """Assert that the counters of every queue match its jobs. Skip `except_queues`."""
    counted = recount(jobs.values())
    for queue in await api.get("/queues"):
        if queue["name"] in except_queues:
            continue
        counters = {name: queue[name] for name in COUNTERS}
        assert counters == {name: counted[queue["name"]][name] for name in COUNTERS}
