"""What is told of queues and of jobs by their ids."""

from support.wire import Wire, new_name


async def test_a_queue_counts_its_jobs_by_state(wire: Wire, queue: str) -> None:
    for _ in range(6):
        await wire.enqueue(queue, max_retries=1)
    await wire.enqueue(queue, retry_base_delay="1h", retry_max_delay="1h")
    await wire.enqueue(queue, scheduled_at="2999-01-01T00:00:00Z")
    jobs = await wire.fetch_batch(queue, count=7)
    await wire.ack(jobs[0])
    await wire.ack(jobs[1])
    await wire.fail(jobs[2])
    await wire.fail(jobs[6])
    await wire.release(jobs[3])
    await wire.post(f"/jobs/{jobs[3]['job_id']}/cancel")
    await wire.release(jobs[4])

    found = await wire.queue(queue)
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
    alone = await wire.get(f"/queues/{queue}")
    assert {**alone, "oldest_pending_ms": 0} == {**found, "oldest_pending_ms": 0}


async def test_queues_are_listed_by_name(wire: Wire) -> None:
    mine = sorted(new_name() for _ in range(5))
    for name in reversed(mine):
        await wire.enqueue(name)
    names = [queue["name"] for queue in await wire.get("/queues")]
    assert names == sorted(names)
    assert [name for name in names if name in mine] == mine


async def test_a_queue_that_does_not_exist_is_not_found(wire: Wire) -> None:
    refusal = await wire.refused(f"/queues/{new_name()}", method="GET")
    assert (refusal.status, refusal.code) == (404, "NOT_FOUND")


async def test_jobs_are_got_by_their_ids_in_the_order_named(wire: Wire, queue: str) -> None:
    ids = [await wire.enqueue(queue, i, tags={"n": str(i)}) for i in range(5)]
    missing = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    wanted = [ids[3], missing, ids[0], "no id at all", ids[4]]
    found = (await wire.post("/jobs/bulk-get", {"job_ids": wanted}))["jobs"]
    assert [job["id"] for job in found] == [ids[3], ids[0], ids[4]]
    assert [job["payload"] for job in found] == [3, 0, 4]
    full = await wire.job(ids[3])
    assert {**found[0], "timeline": None} == {**full, "timeline": None}
    assert await wire.post("/jobs/bulk-get", {"job_ids": []}) == {"jobs": []}


async def test_a_job_that_does_not_exist_is_not_found(wire: Wire) -> None:
    for job_id in ("job_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", "%00", "a%2Fb", "ü"):
        refusal = await wire.refused(f"/jobs/{job_id}", method="GET")
        assert (refusal.status, refusal.code) == (404, "NOT_FOUND")
