"""The order of fetches: by priority, then by the order of enqueues."""

from support.api_client import ApiClient, new_name


async def test_higher_priorities_are_fetched_first(api: ApiClient, queue: str) -> None:
    for priority in ("normal", "high", "critical", "normal", "high", "critical"):
        await api.enqueue(queue, priority, priority=priority)
    jobs = await api.fetch_batch(queue, count=6)
    urgent_first = ["critical", "critical", "high", "high", "normal", "normal"]
    assert [job["payload"] for job in jobs] == urgent_first
    assert [job["priority"] for job in jobs] == urgent_first
    ids = [job["job_id"] for job in jobs]
    assert all(ids[i] < ids[i + 1] for i in (0, 2, 4))


async def test_priorities_are_accepted_as_numbers(api: ApiClient, queue: str) -> None:
    for number in (2, 0, 1):
        await api.enqueue(queue, priority=number)
    jobs = await api.fetch_batch(queue, count=3)
    assert [job["priority"] for job in jobs] == ["critical", "high", "normal"]


async def test_equal_priorities_are_fetched_in_the_order_of_enqueues(
    api: ApiClient, queue: str
) -> None:
    body = {"jobs": [{"queue": queue, "payload": i} for i in range(5)]}
    await api.post("/enqueue/batch", body)
    for i in range(5, 10):
        await api.enqueue(queue, i)
    assert [(await api.fetch(queue))["payload"] for _ in range(10)] == list(range(10))


async def test_the_order_covers_all_queues_of_a_fetch(api: ApiClient) -> None:
    one, other = new_name(), new_name()
    await api.enqueue(other, 1)
    await api.enqueue(one, 2)
    await api.enqueue(other, 3, priority="high")
    await api.enqueue(one, 4)
    jobs = await api.fetch_batch(one, other, count=10)
    assert [job["payload"] for job in jobs] == [3, 1, 2, 4]


async def test_a_failed_job_keeps_its_place_in_the_order(api: ApiClient, queue: str) -> None:
    first = await api.enqueue(queue, retry_backoff="none")
    await api.enqueue(queue)
    await api.fail(await api.fetch(queue))
    await api.see_state(first, "pending")
    assert (await api.fetch(queue))["job_id"] == first
