"""Checkpoints and progress of a job, and their lifetime."""

from support.api_client import ApiClient


async def test_a_checkpoint_survives_a_failure(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue, retry_backoff="none")
    leased = await api.fetch(queue)
    await api.heartbeat(leased, checkpoint={"row": 1})
    await api.heartbeat(leased, checkpoint={"row": 4200, "file": "ß.csv"})
    await api.heartbeat(leased)  # without a checkpoint
    await api.fail(leased)
    again = await api.fetch(queue, timeout=20)
    assert again["attempt"] == 2
    assert again["checkpoint"] == {"row": 4200, "file": "ß.csv"}


async def test_a_checkpoint_survives_the_end_of_a_lease(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue)
    leased = await api.fetch(queue, lease_duration=1)
    await api.heartbeat(leased, checkpoint=17)
    again = await api.fetch(queue, timeout=20)
    assert (again["attempt"], again["checkpoint"]) == (2, 17)


async def test_a_release_can_store_a_checkpoint(api: ApiClient, queue: str) -> None:
    await api.enqueue(queue)
    await api.release(await api.fetch(queue), checkpoint=[1, 2])
    again = await api.fetch(queue)
    assert (again["attempt"], again["checkpoint"]) == (1, [1, 2])


async def test_progress_is_visible_while_the_job_is_active(api: ApiClient, queue: str) -> None:
    job_id = await api.enqueue(queue)
    leased = await api.fetch(queue)
    before = (await api.job(job_id))["lease_expires_at"]
    progress = {"current": 3, "total": 10, "message": "third page"}
    assert await api.heartbeat(leased, progress=progress) == {"status": "ok"}
    job = await api.job(job_id)
    assert job["progress"] == progress
    assert job["lease_expires_at"] > before
    assert await api.events_of(job_id) == ["enqueued", "started", "progress"]


async def test_one_heartbeat_covers_many_jobs(api: ApiClient, queue: str) -> None:
    for i in range(3):
        await api.enqueue(queue, i)
    jobs = await api.fetch_batch(queue, count=3)
    await api.ack(jobs[0])
    missing = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    body = {
        "worker_id": "worker-1",
        "jobs": {
            **{job["job_id"]: {"lease_token": job["lease_token"]} for job in jobs[:2]},
            jobs[2]["job_id"]: {"lease_token": "stolen"},
            missing: {},
        },
    }
    answer = await api.post("/heartbeat", body)
    assert answer["jobs"] == {
        jobs[0]["job_id"]: {"status": "cancel", "reason": "finished"},
        jobs[1]["job_id"]: {"status": "ok"},
        jobs[2]["job_id"]: {"status": "cancel", "reason": "lease_lost"},
        missing: {"status": "cancel", "reason": "not_found"},
    }
