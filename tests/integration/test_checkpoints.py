"""Checkpoints and progress: what a worker tells of its job, and what outlives the attempt."""

from support.wire import Wire


async def test_a_checkpoint_outlives_a_failure(wire: Wire, queue: str) -> None:
    await wire.enqueue(queue, retry_backoff="none")
    leased = await wire.fetch(queue)
    await wire.heartbeat(leased, checkpoint={"row": 1})
    await wire.heartbeat(leased, checkpoint={"row": 4200, "file": "ß.csv"})
    await wire.heartbeat(leased)  # says nothing about it
    await wire.fail(leased)
    again = await wire.fetch(queue, timeout=20)
    assert again["attempt"] == 2
    assert again["checkpoint"] == {"row": 4200, "file": "ß.csv"}


async def test_a_checkpoint_outlives_a_lease(wire: Wire, queue: str) -> None:
    await wire.enqueue(queue)
    leased = await wire.fetch(queue, lease_duration=1)
    await wire.heartbeat(leased, checkpoint=17)
    again = await wire.fetch(queue, timeout=20)
    assert (again["attempt"], again["checkpoint"]) == (2, 17)


async def test_a_release_may_bring_a_checkpoint(wire: Wire, queue: str) -> None:
    await wire.enqueue(queue)
    await wire.release(await wire.fetch(queue), checkpoint=[1, 2])
    again = await wire.fetch(queue)
    assert (again["attempt"], again["checkpoint"]) == (1, [1, 2])


async def test_progress_is_seen_while_the_job_runs(wire: Wire, queue: str) -> None:
    job_id = await wire.enqueue(queue)
    leased = await wire.fetch(queue)
    before = (await wire.job(job_id))["lease_expires_at"]
    progress = {"current": 3, "total": 10, "message": "third page"}
    assert await wire.heartbeat(leased, progress=progress) == {"status": "ok"}
    job = await wire.job(job_id)
    assert job["progress"] == progress
    assert job["lease_expires_at"] > before
    assert await wire.events_of(job_id) == ["enqueued", "started", "progress"]


async def test_one_heartbeat_serves_many_jobs(wire: Wire, queue: str) -> None:
    for i in range(3):
        await wire.enqueue(queue, i)
    jobs = await wire.fetch_batch(queue, count=3)
    await wire.ack(jobs[0])
    missing = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    body = {
        "worker_id": "worker-1",
        "jobs": {
            **{job["job_id"]: {"lease_token": job["lease_token"]} for job in jobs[:2]},
            jobs[2]["job_id"]: {"lease_token": "stolen"},
            missing: {},
        },
    }
    answer = await wire.post("/heartbeat", body)
    assert answer["jobs"] == {
        jobs[0]["job_id"]: {"status": "cancel", "reason": "finished"},
        jobs[1]["job_id"]: {"status": "ok"},
        jobs[2]["job_id"]: {"status": "cancel", "reason": "lease_lost"},
        missing: {"status": "cancel", "reason": "not_found"},
    }
