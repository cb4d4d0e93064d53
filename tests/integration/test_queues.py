"""Reading queues, and jobs by their ids."""

from support.api_client import ApiClient, new_name


async def test_a_queue_counts_its_jobs_by_state(api: ApiClient, queue: str) -> None:
    for _ in range(6):
        await api.enqueue(queue, max_retries=1)
    await api.enqueue(queue, retry_base_delay="1h", retry_max_delay="1h")
    await api.enqueue(queue, scheduled_at="2999-01-01T00:00:00Z")
    jobs = await api.fetch_batch(queue, count=7)
    await api.ack(jobs[0])
    await api.ack(jobs[1])
    await api.fail(jobs[2])
    await api.fail(jobs[6])
    await api.release(jobs[3])
    await api.post(f"/jobs/{jobs[3]['job_id']}/cancel")
    await api.release(jobs[4])

    found = await api.queue(queue)
    states = ("pending", "active", "scheduled", "retrying", "completed", "dead", "cancelled")
    assert {state: found[state] for state in states} == {
        "pending": 1,
        "active": 1,
        "scheduled": 1,
        "retrying": 1,
        "completed": 2,
        "dead": 1,
        "cancelled": 1,
    }
    assert (found["enqueued"], found["failed"]) == (8, 2)
    assert found["oldest_pending_ms"] >= 0
    alone = await api.get(f"/queues/{queue}")
    assert {**alone, "oldest_pending_ms": 0} == {**found, "oldest_pending_ms": 0}


async def test_queues_are_listed_by_name(api: ApiClient) -> None:
    created = sorted(new_name() for _ in range(5))
    for name in reversed(created):
        await api.enqueue(name)
    names = [queue["name"] for queue in await api.get("/queues")]
    assert names == sorted(names)
    assert [name for name in names if name in created] == created


async def test_a_queue_that_does_not_exist_is_not_found(api: ApiClient) -> None:
    refusal = await api.refused(f"/queues/{new_name()}", method="GET")
    assert (refusal.status, refusal.code) == (404, "NOT_FOUND")


async def test_jobs_are_returned_in_the_order_of_the_ids(api: ApiClient, queue: str) -> None:
    ids = [await api.enqueue(queue, i, tags={"n": str(i)}) for i in range(5)]
    missing = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    wanted = [ids[3], missing, ids[0], "no id at all", ids[4]]
    found = (await api.post("/jobs/bulk-get", {"job_ids": wanted}))["jobs"]
    assert [job["id"] for job in found] == [ids[3], ids[0], ids[4]]
    assert [job["payload"] for job in found] == [3, 0, 4]
    full = await api.job(ids[3])
    assert {**found[0], "timeline": None} == {**full, "timeline": None}
    assert await api.post("/jobs/bulk-get", {"job_ids": []}) == {"jobs": []}


async def test_a_job_that_does_not_exist_is_not_found(api: ApiClient) -> None:
    for job_id in ("job_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", "%00", "a%2Fb", "ü"):
        refusal = await api.refused(f"/jobs/{job_id}", method="GET")
        assert (refusal.status, refusal.code) == (404, "NOT_FOUND")
