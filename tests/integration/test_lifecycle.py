"""A job's whole life over the wire: enqueue, fetch, ack, and what is told of it."""

from support.wire import Wire


async def test_a_job_goes_from_enqueue_to_completed(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue, {"to": "ada@example.com"}, tags={"tenant": "a"})
    assert await wire.state(job_id) == "pending"

    leased = await wire.fetch(queue, hostname="host-1", lease_duration=30)
    assert leased["job_id"] == job_id
    assert leased["queue"] == queue
    assert leased["payload"] == {"to": "ada@example.com"}
    assert leased["tags"] == {"tenant": "a"}
    assert leased["attempt"] == 1
    assert leased["max_retries"] == 3
    assert leased["lease_duration"] == 30
    assert leased["checkpoint"] is None
    active = await wire.job(job_id)
    assert active["state"] == "active"
    assert active["worker_id"] == "worker-1"
    assert active["hostname"] == "host-1"
    assert active["lease_expires_at"] == leased["lease_expires_at"]

    await wire.ack(leased, result={"sent": True})
    done = await wire.job(job_id)
    assert done["state"] == "completed"
    assert done["result"] == {"sent": True}
    assert done["attempt"] == 1
    assert done["lease_expires_at"] is None
    assert done["created_at"] <= done["started_at"] <= done["completed_at"]
    assert done["errors"] == []
    assert await wire.events_of(job_id) == ["enqueued", "started", "completed"]


async def test_a_completed_job_is_not_handed_out_again(wire: Wire, queue: str) -> None:
    await wire.enqueue(queue)
    await wire.ack(await wire.fetch(queue))
    assert await wire.try_fetch(queue) is None


async def test_jobs_are_enqueued_fetched_and_acked_in_batches(wire: Wire, queue: str) -> None:
    jobs = [{"queue": queue, "payload": i} for i in range(25)]
    enqueued = await wire.post("/enqueue/batch", {"jobs": jobs})
    assert len(set(enqueued["job_ids"])) == 25
    assert [result["job_id"] for result in enqueued["results"]] == enqueued["job_ids"]
    assert {result["status"] for result in enqueued["results"]} == {"pending"}

    first = await wire.fetch_batch(queue, count=20)
    rest = await wire.fetch_batch(queue, count=20)
    assert [job["payload"] for job in first + rest] == list(range(25))
    assert [job["job_id"] for job in first + rest] == enqueued["job_ids"]
    assert len({job["lease_token"] for job in first + rest}) == 25
    assert await wire.fetch_batch(queue, count=20) == []

    acks = [
        {"job_id": job["job_id"], "lease_token": job["lease_token"], "result": job["payload"]}
        for job in first + rest
    ]
    answer = await wire.post("/ack/batch", {"acks": acks})
    assert answer["acked"] == 25
    assert [result["status"] for result in answer["results"]] == ["ok"] * 25
    found = await wire.post("/jobs/bulk-get", {"job_ids": enqueued["job_ids"]})
    assert [job["result"] for job in found["jobs"]] == list(range(25))
    assert {job["state"] for job in found["jobs"]} == {"completed"}


async def test_one_bad_ack_of_a_batch_does_not_spoil_the_others(wire: Wire, queue: str) -> None:
    await wire.enqueue(queue)
    await wire.enqueue(queue)
    good, other = await wire.fetch_batch(queue, count=2)
    acks = [
        {"job_id": good["job_id"], "lease_token": good["lease_token"]},
        {"job_id": "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"},
        {"job_id": other["job_id"], "lease_token": good["lease_token"]},
        {"job_id": "no id at all"},
    ]
    answer = await wire.post("/ack/batch", {"acks": acks})
    assert answer["acked"] == 1
    codes = [result.get("code") for result in answer["results"]]
    assert codes == [None, "NOT_FOUND", "LEASE_LOST", "NOT_FOUND"]
    assert await wire.state(good["job_id"]) == "completed"
    assert await wire.state(other["job_id"]) == "active"


async def test_a_worker_without_tokens_is_served_as_ever(wire: Wire, queue: str) -> None:
    """Clients that know of no lease tokens are accepted while the job is active."""
    job_id = await wire.enqueue(queue)
    await wire.fetch(queue)
    beat = await wire.post("/heartbeat", {"jobs": {job_id: {"progress": {"current": 1}}}})
    assert beat == {"jobs": {job_id: {"status": "ok"}}}
    assert await wire.post(f"/ack/{job_id}", {"result": 1}) == {"status": "ok"}
    assert (await wire.refused(f"/ack/{job_id}", {"result": 1})).code == "INVALID_STATE"


async def test_a_scheduled_job_waits_for_its_time(wire: Wire, queue: str) -> None:
    later = {"queue": queue, "scheduled_at": "2999-01-01T00:00:00.000Z"}
    enqueued = await wire.post("/enqueue", later)
    assert enqueued["status"] == "scheduled"
    assert await wire.try_fetch(queue) is None
    past = {"queue": queue, "scheduled_at": "2020-01-01T00:00:00Z"}
    assert (await wire.post("/enqueue", past))["status"] == "pending"

    assert await wire.post(f"/jobs/{enqueued['job_id']}/retry") == {"status": "retried"}
    first, second = await wire.fetch_batch(queue, count=2)
    assert first["job_id"] == enqueued["job_id"]
    assert second["job_id"] != enqueued["job_id"]
