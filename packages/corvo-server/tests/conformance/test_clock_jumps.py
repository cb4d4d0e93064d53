"""Jumps of the wall clock, forward and back, while time passes evenly; and over a restart."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from corvo_schema.states import JobState
from corvo_server.engine.attempts import Heartbeat
from corvo_server.engine.engine import Policy
from corvo_server.engine.maintenance import Retention
from corvo_server.http import documents
from corvo_server.store.protocol import Store
from server_support.bench import LEASE_MS, QUEUE, Bench, make_job
from server_support.calendar import HOUR, MINUTE, Calendar
from server_support.clock import START, TwoClocks
from server_support.kits import Kit

DAY = 24 * HOUR
JUMPS = (-HOUR, HOUR, -9 * DAY, 9 * DAY, -1_500, 1_500)
POLICY = Policy(retention=Retention(completed=7 * DAY, dead=7 * DAY, events=7 * DAY))

jumps = pytest.mark.parametrize("jump", JUMPS)


@pytest.fixture
def clocks() -> TwoClocks:
    return TwoClocks()


@pytest.fixture
async def bench(kit: Kit, store: Store, clocks: TwoClocks) -> AsyncIterator[Bench]:
    bench = Bench(kit, store, clocks, POLICY)
    await bench.engine.nodes.beat()
    yield bench
    await bench.check_counters()
    await bench.store.close()


async def restart(bench: Bench, clocks: TwoClocks) -> TwoClocks:
    """Start a new server process on the same data. Return its clocks."""
    new = TwoClocks(clocks.wall_ms)
    bench.clock = new
    await bench.restart()
    await bench.engine.nodes.beat()
    return new


@jumps
async def test_lease_lasts_its_elapsed_time(jump: int, bench: Bench, clocks: TwoClocks) -> None:
    job = await bench.start(lease=2)
    clocks.jump(jump)
    assert (await bench.tick(1_999))["reclaimed"] == 0
    await bench.heartbeat(job)
    assert (await bench.tick(1_999))["reclaimed"] == 0
    assert (await bench.tick(1))["reclaimed"] == 1


@jumps
async def test_lease_of_a_fetch_after_the_jump(jump: int, bench: Bench, clocks: TwoClocks) -> None:
    await bench.enqueue()
    clocks.jump(jump)
    await bench.enqueue(priority="high")  # in one commit with older jobs
    await bench.fetch_one(lease=2)
    assert [(await bench.tick(ms))["reclaimed"] for ms in (1_999, 1)] == [0, 1]


@jumps
async def test_delays_and_retries_last_their_elapsed_time(
    jump: int, bench: Bench, clocks: TwoClocks
) -> None:
    await bench.enqueue(delay="2s")
    failed = await bench.start(queue="failing", retry_backoff="fixed", retry_base_delay="2s")
    released = await bench.start(queue="released")
    await bench.fail(failed)
    await bench.release(released, delay=2_000)
    head = await bench.head(failed)
    assert head.scheduled_at is not None
    wait = head.scheduled_at - clocks.now
    clocks.jump(jump)
    await bench.enqueue(delay="2s")
    assert (await bench.tick(min(wait, 2_000) - 1))["promoted"] == 0
    await bench.tick(max(wait, 2_000))
    assert await bench.state(failed) is JobState.PENDING
    assert len(await bench.fetch_ids(QUEUE, "failing", "released")) == 4


@jumps
async def test_rate_limit_keeps_its_window(jump: int, bench: Bench, clocks: TwoClocks) -> None:
    await bench.engine.queues.throttle(QUEUE, 2, 10_000)
    for _ in range(4):
        await bench.enqueue()
    assert len(await bench.fetch_ids()) == 2
    clocks.jump(jump)
    assert await bench.fetch_ids() == []
    clocks.forward(9_999)
    assert await bench.fetch_ids() == []
    clocks.forward(1)
    assert len(await bench.fetch_ids()) == 2


@jumps
async def test_unique_period_lasts_its_elapsed_time(
    jump: int, bench: Bench, clocks: TwoClocks
) -> None:
    await bench.enqueue(unique_key="k", unique_period="10s")
    clocks.jump(jump)
    clocks.forward(9_999)
    assert (await bench.try_enqueue(unique_key="k", unique_period="10s")).is_duplicate
    clocks.forward(1)
    assert (await bench.try_enqueue(unique_key="k", unique_period="10s")).is_new


@jumps
async def test_expiry_lasts_its_elapsed_time(jump: int, bench: Bench, clocks: TwoClocks) -> None:
    await bench.enqueue(expire_after="10s")
    clocks.jump(jump)
    assert [(await bench.tick(ms))["expired"] for ms in (9_999, 1)] == [0, 1]


@jumps
async def test_retention_lasts_its_elapsed_time(jump: int, bench: Bench, clocks: TwoClocks) -> None:
    job = await bench.start()
    await bench.ack(job)
    clocks.jump(jump)
    await bench.prune(7 * DAY - 1)
    assert await bench.state(job) is JobState.COMPLETED
    await bench.prune(1)
    assert await bench.store.find_job(job.head.id) is None


@jumps
async def test_long_poll_gets_a_job_that_becomes_due(
    jump: int, bench: Bench, clocks: TwoClocks
) -> None:
    await bench.enqueue(delay="2s")
    waiting = await bench.waiting()
    clocks.jump(jump)
    assert (await bench.tick(2_000))["promoted"] == 1
    assert len(await waiting) == 1


@jumps
async def test_batch_and_bulk_operation_end(jump: int, bench: Bench, clocks: TwoClocks) -> None:
    requests = [make_job(), make_job()]
    _, batch_id = await bench.enqueue_batch(*requests, callback="done")
    first = await bench.fetch_one()
    clocks.jump(jump)
    await bench.ack(first)
    await bench.ack(await bench.fetch_one())
    batch = await bench.batch(batch_id)
    assert batch.finished_at == clocks.now
    assert len(await bench.fetch("done")) == 1


@jumps
async def test_worker_stays_known(jump: int, bench: Bench, clocks: TwoClocks) -> None:
    job = await bench.start()
    clocks.jump(jump)
    await bench.engine.attempts.heartbeat(
        [Heartbeat(job.head.id, job.head.lease_token, None, None)]
    )
    (worker,) = await bench.engine.workers.list()
    assert (worker.status, worker.last_fetch) == ("ok", clocks.now)


@jumps
async def test_scheduled_at_is_a_wall_clock_time(
    jump: int, bench: Bench, clocks: TwoClocks
) -> None:
    before = await bench.enqueue(at=clocks.wall_ms + 5_000)
    clocks.wall_ms += jump  # the server notices it with the next request
    after = await bench.enqueue("other", at=clocks.wall_ms + 5_000)
    shift = bench.engine.wall.offset
    assert shift == jump
    for job_id in (before, after):  # a jump does not change how long a scheduled job waits
        shown = documents.job(await bench.job(job_id), shift)["scheduled_at"]
        assert shown == documents.wall_time(clocks.wall_ms + 5_000, 0)
    assert (await bench.tick(4_999))["promoted"] == 0
    assert (await bench.tick(1))["promoted"] == 2


async def test_small_difference_is_followed_smoothly(bench: Bench, clocks: TwoClocks) -> None:
    clocks.jump(900)
    assert (clocks.now, bench.engine.wall.offset) == (START, 0)
    shown = [clocks.forward(1_000) for _ in range(300)]
    steps = {later - earlier for earlier, later in pairwise(shown)}
    assert all(1_000 <= step <= 1_006 for step in steps)
    assert abs(clocks.now - clocks.wall_ms) <= 5
    clocks.jump(-900)
    assert [clocks.forward(1_000) > at for at in [clocks.now]] == [True]


# Schedules


async def run_scheduler(bench: Bench) -> int:
    await bench.engine.schedules.follow_wall()
    return await Calendar(bench).pass_time()


async def test_interval_goes_on_after_the_wall_clock_was_set_back(
    bench: Bench, clocks: TwoClocks
) -> None:
    calendar = Calendar(bench)
    await calendar.put()
    await calendar.pass_time(5 * MINUTE)
    clocks.jump(-HOUR)
    assert await run_scheduler(bench) == 0
    for _ in range(3):
        clocks.forward(MINUTE)
        assert await run_scheduler(bench) == 1
    assert len(await calendar.jobs()) == 4  # the first of them for five missed occurrences


async def test_repeated_wall_clock_times_enqueue_new_jobs(bench: Bench, clocks: TwoClocks) -> None:
    calendar = Calendar(bench)
    await calendar.put()
    for _ in range(3):
        await calendar.pass_time(MINUTE)
    clocks.jump(-3 * MINUTE)
    for _ in range(3):
        await run_scheduler(bench)
        clocks.forward(MINUTE)
    assert await run_scheduler(bench) == 1
    assert len(await calendar.jobs()) == 6


@pytest.mark.parametrize(("back", "runs"), [(HOUR, 1), (4 * HOUR, 2)])
async def test_fixed_time_is_repeated_only_after_a_correction(
    back: int, runs: int, bench: Bench, clocks: TwoClocks
) -> None:
    calendar = Calendar(bench)
    await calendar.put(cron="30 8 * * *")  # half an hour after START
    assert await calendar.pass_time(40 * MINUTE) == 1
    clocks.jump(-back)
    await run_scheduler(bench)
    clocks.forward(back)
    await run_scheduler(bench)
    assert len(await calendar.jobs()) == runs


async def test_fixed_time_runs_again_after_a_wrong_date_was_corrected(
    bench: Bench, clocks: TwoClocks
) -> None:
    calendar = Calendar(bench)
    await calendar.put(cron="0 9 * * *")
    clocks.jump(9 * DAY)
    assert await run_scheduler(bench) == 1  # nine missed occurrences, by misfire
    clocks.jump(-9 * DAY)
    await run_scheduler(bench)
    assert (await calendar.get()).next_run == START + HOUR


@pytest.mark.parametrize("jump", [HOUR, 9 * DAY])
async def test_occurrences_follow_a_wall_clock_set_forward(
    jump: int, bench: Bench, clocks: TwoClocks
) -> None:
    calendar = Calendar(bench)
    await calendar.put(cron="30 8 * * *")
    clocks.jump(jump)
    assert await run_scheduler(bench) == 1
    (job,) = await calendar.jobs()
    assert job.head.created_at == clocks.now == START
    schedule = await calendar.get()
    assert schedule.last_run == START
    assert schedule.next_run is not None
    assert schedule.next_run > clocks.wall_ms


# Restarts


@jumps
async def test_jump_before_a_restart_is_remembered(
    jump: int, bench: Bench, clocks: TwoClocks
) -> None:
    await bench.start(lease=60)
    clocks.jump(jump)
    await bench.engine.nodes.beat()
    clocks = await restart(bench, clocks)
    assert (clocks.now, bench.engine.wall.offset) == (START, jump)
    assert (await bench.tick(LEASE_MS - 1))["reclaimed"] == 0
    assert (await bench.tick(1))["reclaimed"] == 1


@pytest.mark.parametrize("back", [HOUR, 9 * DAY])
async def test_clock_set_back_while_no_server_ran(
    back: int, bench: Bench, clocks: TwoClocks
) -> None:
    await bench.engine.queues.throttle("limited", 1, 10_000)
    for _ in range(2):
        await bench.enqueue("limited")
    await bench.enqueue(delay="5s")
    clocks.forward(3_000)
    await bench.start(queue="working", lease=2)
    await bench.fetch_one("limited")
    clocks.wall_ms -= back
    clocks = await restart(bench, clocks)
    assert clocks.now == START + 3_000
    assert (await bench.tick(2_000)) == {"promoted": 1, "reclaimed": 1, "expired": 0}
    clocks.forward(8_000)
    assert len(await bench.fetch_ids("limited")) == 1
    assert await bench.engine.store.set_wall_offset(-back, 0)


async def test_clock_set_forward_while_no_server_ran_is_elapsed_time(
    bench: Bench, clocks: TwoClocks
) -> None:
    await bench.start(lease=60)
    clocks.wall_ms += HOUR
    clocks = await restart(bench, clocks)
    assert (clocks.now, bench.engine.wall.offset) == (START + HOUR, 0)
    assert (await bench.tick())["reclaimed"] == 1


async def test_offset_is_replaced_only_if_it_is_the_expected_one(store: Store) -> None:
    assert await store.set_wall_offset(0, 5)
    assert not await store.set_wall_offset(0, 7)
    assert await store.set_wall_offset(5, -7)
