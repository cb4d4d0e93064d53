"""The life of a job over the HTTP API: enqueue, fetch, ack, and its fields in between."""

from support.api_client import ApiClient


async def test_a_job_goes_from_enqueue_to_completed(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue, {"to": "ada@example.com"}, tags={"tenant": "a"})
    assert await api.state(job_id) == "pending"

    leased = await api.fetch(queue, hostname="host-1", lease_duration=30)
    assert leased["job_id"] == job_id
    assert leased["queue"] == queue
    assert leased["payload"] == {"to": "ada@example.com"}
    assert leased["tags"] == {"tenant": "a"}
    assert leased["attempt"] == 1
    assert leased["max_retries"] == 3
    assert leased["lease_duration"] == 30
    assert leased["checkpoint"] is None
    active = await api.job(job_id)
    assert active["state"] == "active"
    assert active["worker_id"] == "worker-1"
    assert active["hostname"] == "host-1"
    assert active["lease_expires_at"] == leased["lease_expires_at"]

    await api.ack(leased, result={"sent": True})
    done = await api.job(job_id)
    assert done["state"] == "completed"
    assert done["result"] == {"sent": True}
    assert done["attempt"] == 1
    assert done["lease_expires_at"] is None
    assert done["created_at"] <= done["started_at"] <= done["completed_at"]
    assert done["errors"] == []
    assert await api.events_of(job_id) == ["enqueued", "started", "completed"]


async def test_a_completed_job_is_not_fetched_again(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue)
    await api.ack(await api.fetch(queue))
    assert await api.try_fetch(queue) is None


async def test_jobs_are_enqueued_fetched_and_acked_in_batches(api: ApiClient, queue: str) -> None:
    jobs = [{"queue": queue, "payload": i} for i in range(25)]
    enqueued = await api.post("/enqueue/batch", {"jobs": jobs})
    assert len(set(enqueued["job_ids"])) == 25
    assert [result["job_id"] for result in enqueued["results"]] == enqueued["job_ids"]
    assert {result["status"] for result in enqueued["results"]} == {"pending"}

    first = await api.fetch_batch(queue, count=20)
    rest = await api.fetch_batch(queue, count=20)
    assert [job["payload"] for job in first + rest] == list(range(25))
    assert [job["job_id"] for job in first + rest] == enqueued["job_ids"]
    assert len({job["lease_token"] for job in first + rest}) == 25
    assert await api.fetch_batch(queue, count=20) == []

    acks = [
        {"job_id": job["job_id"], "lease_token": job["lease_token"], "result": job["payload"]}
        for job in first + rest
    ]
    answer = await api.post("/ack/batch", {"acks": acks})
    assert answer["acked"] == 25
    assert [result["status"] for result in answer["results"]] == ["ok"] * 25
    found = await api.post("/jobs/bulk-get", {"job_ids": enqueued["job_ids"]})
    assert [job["result"] for job in found["jobs"]] == list(range(25))
    assert {job["state"] for job in found["jobs"]} == {"completed"}


async def test_one_invalid_ack_of_a_batch_does_not_affect_the_others(
    api: ApiClient, queue: str
) -> None:
    await api.enqueue(queue)
    await api.enqueue(queue)
    good, other = await api.fetch_batch(queue, count=2)
    acks = [
        {"job_id": good["job_id"], "lease_token": good["lease_token"]},
        {"job_id": "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"},
        {"job_id": other["job_id"], "lease_token": good["lease_token"]},
        {"job_id": "no id at all"},
    ]
    answer = await api.post("/ack/batch", {"acks": acks})
    assert answer["acked"] == 1
    codes = [result.get("code") for result in answer["results"]]
    assert codes == [None, "NOT_FOUND", "LEASE_LOST", "NOT_FOUND"]
    assert await api.state(good["job_id"]) == "completed"
    assert await api.state(other["job_id"]) == "active"


async def test_calls_without_lease_tokens_are_accepted(api: ApiClient, queue: str) -> None:
    """Calls of clients without lease tokens are accepted while the job is active."""
    job_id = await api.enqueue(queue)
    await api.fetch(queue)
    beat = await api.post("/heartbeat", {"jobs": {job_id: {"progress": {"current": 1}}}})
    assert beat == {"jobs": {job_id: {"status": "ok"}}}
    assert await api.post(f"/ack/{job_id}", {"result": 1}) == {"status": "ok"}
    assert (await api.refused(f"/ack/{job_id}", {"result": 1})).code == "INVALID_STATE"


async def test_a_scheduled_job_waits_for_its_time(api: ApiClient, queue: str) -> None:
    later = {"queue": queue, "scheduled_at": "2999-01-01T00:00:00.000Z"}
    enqueued = await api.post("/enqueue", later)
    assert enqueued["status"] == "scheduled"
    assert await api.try_fetch(queue) is None
    past = {"queue": queue, "scheduled_at": "2020-01-01T00:00:00Z"}
    assert (await api.post("/enqueue", past))["status"] == "pending"

    assert await api.post(f"/jobs/{enqueued['job_id']}/retry") == {"status": "retried"}
    first, second = await api.fetch_batch(queue, count=2)
    assert first["job_id"] == enqueued["job_id"]
    assert second["job_id"] != enqueued["job_id"]
