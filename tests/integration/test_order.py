"""Which job is next: priority first, then the order of enqueueing."""

from support.wire import Wire, new_name


async def test_the_more_urgent_job_is_first(wire: Wire, queue: str) -> None:
    for priority in ("normal", "high", "critical", "normal", "high", "critical"):
        await wire.enqueue(queue, priority, priority=priority)
    jobs = await wire.fetch_batch(queue, count=6)
    urgent_first = ["critical", "critical", "high", "high", "normal", "normal"]
    assert [job["payload"] for job in jobs] == urgent_first
    assert [job["priority"] for job in jobs] == urgent_first
    ids = [job["job_id"] for job in jobs]
    assert all(ids[i] < ids[i + 1] for i in (0, 2, 4))


async def test_priorities_are_taken_as_numbers_too(wire: Wire, queue: str) -> None:
    for number in (2, 0, 1):
        await wire.enqueue(queue, priority=number)
    jobs = await wire.fetch_batch(queue, count=3)
    assert [job["priority"] for job in jobs] == ["critical", "high", "normal"]


async def test_equals_are_served_in_the_order_of_enqueueing(wire: Wire, queue: str) -> None:
    body = {"jobs": [{"queue": queue, "payload": i} for i in range(5)]}
    await wire.post("/enqueue/batch", body)
    for i in range(5, 10):
        await wire.enqueue(queue, i)
    assert [(await wire.fetch(queue))["payload"] for _ in range(10)] == list(range(10))


async def test_one_order_holds_across_the_queues_of_a_fetch(wire: Wire) -> None:
    one, other = new_name(), new_name()
    await wire.enqueue(other, 1)
    await wire.enqueue(one, 2)
    await wire.enqueue(other, 3, priority="high")
    await wire.enqueue(one, 4)
    jobs = await wire.fetch_batch(one, other, count=10)
    assert [job["payload"] for job in jobs] == [3, 1, 2, 4]


async def test_a_job_that_failed_keeps_its_place_in_the_line(wire: Wire, queue: str) -> None:
    first = await wire.enqueue(queue, retry_backoff="none")
    await wire.enqueue(queue)
    await wire.fail(await wire.fetch(queue))
    await wire.see_state(first, "pending")
    assert (await wire.fetch(queue))["job_id"] == first
