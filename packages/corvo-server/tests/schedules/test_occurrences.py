"""Every occurrence of a schedule is processed exactly once, by any server at any time."""

import asyncio

import pytest

from corvo_schema.states import EventType, Priority
from corvo_server.engine import cron
from corvo_server.engine.engine import Engine
from corvo_server.store.protocol import StoreUnavailable
from server_support.bench import QUEUE, Bench
from server_support.calendar import HOUR, MINUTE, Calendar
from server_support.clock import START


async def test_due_occurrence_enqueues_a_job(calendar: Calendar) -> None:
    await calendar.put()
    assert await calendar.pass_time(MINUTE - 1) == 0
    assert await calendar.occurrences() == []
    assert await calendar.pass_time(1) == 1
    assert await calendar.occurrences() == [START + MINUTE]
    schedule = await calendar.get()
    assert (schedule.last_run, schedule.next_run) == (START + MINUTE, START + 2 * MINUTE)


async def test_job_has_the_options_of_the_schedule(bench: Bench, calendar: Calendar) -> None:
    text = b'{"b": 12345678901234567890123 , "a":1.0}'
    await calendar.put(
        text=text,
        priority="high",
        max_retries=7,
        tags={"team": "x"},
        unique_key="k",
        unique_period="5m",
    )
    await calendar.pass_time(MINUTE)
    (job,) = await calendar.jobs()
    assert job.payload == text.decode()
    assert job.tags == '{"team":"x"}'
    assert (job.head.priority, job.head.max_retries) == (Priority.HIGH, 7)
    assert (job.head.unique_key, job.head.unique_period) == ("k", 5 * MINUTE)
    record = await bench.job(job)
    assert record.events[0].type is EventType.ENQUEUED
    assert "schedule nightly: occurrence 2027-01-15T08:01:00.000Z" in str(record.events[0].data)
    assert (await calendar.get()).last_job_id == job.head.id


async def test_every_occurrence_has_its_own_job(calendar: Calendar) -> None:
    await calendar.put()
    for _ in range(5):
        assert await calendar.pass_time(MINUTE) == 1
    assert await calendar.occurrences() == [START + n * MINUTE for n in range(1, 6)]


async def test_processed_occurrence_is_not_due_again(calendar: Calendar) -> None:
    await calendar.put()
    assert [await calendar.pass_time(MINUTE), await calendar.pass_time()] == [1, 0]
    assert len(await calendar.jobs()) == 1


async def test_two_engines_make_one_job_of_an_occurrence(bench: Bench, calendar: Calendar) -> None:
    await calendar.put()
    other = Engine(bench.store, clock=bench.clock)
    bench.clock.forward(MINUTE)
    with bench.kit.hold_commits(bench.store):  # both share a commit
        both = [asyncio.ensure_future(e.schedules.run_due()) for e in (bench.engine, other)]
        await asyncio.sleep(0)
    assert sorted(await asyncio.gather(*both)) == [0, 1]
    bench.clock.forward(MINUTE)
    assert [await e.schedules.run_due() for e in (other, bench.engine)] == [1, 0]
    assert await calendar.occurrences() == [START + MINUTE, START + 2 * MINUTE]


async def test_restart_loses_and_doubles_no_occurrence(bench: Bench, calendar: Calendar) -> None:
    await calendar.put()
    for _ in range(3):
        await bench.restart()
        assert await calendar.pass_time(MINUTE) == 1
        await bench.restart()
        assert await calendar.pass_time() == 0
    assert await calendar.occurrences() == [START + n * MINUTE for n in range(1, 4)]


async def test_commit_that_fails_leaves_the_occurrence_due(
    bench: Bench, calendar: Calendar
) -> None:
    before = await calendar.put()
    with bench.kit.break_commits(bench.store), pytest.raises(StoreUnavailable):
        await calendar.pass_time(MINUTE)
    assert await calendar.get() == before
    assert await calendar.occurrences() == []
    assert await calendar.pass_time() == 1
    assert await calendar.occurrences() == [START + MINUTE]


async def test_repeated_occurrence_finds_its_job(bench: Bench, calendar: Calendar) -> None:
    await calendar.put()
    await calendar.pass_time(MINUTE)
    bench.clock.forward(-MINUTE // 2)  # the machine's clock was set back
    await calendar.put(cron="@daily")
    assert (await calendar.put()).next_run == START + MINUTE
    assert await calendar.pass_time(MINUTE // 2 + 10) == 1
    assert await calendar.occurrences() == [START + MINUTE]


async def test_all_due_schedules_run(calendar: Calendar) -> None:
    for number in range(250):
        await calendar.put(f"s{number}", queue=f"q{number % 3}")
    assert await calendar.pass_time(MINUTE) == 250
    assert sum([len(await calendar.jobs(f"q{n}")) for n in range(3)]) == 250


async def test_occurrence_wakes_a_waiting_fetch(bench: Bench, calendar: Calendar) -> None:
    await calendar.put()
    fetching = await bench.waiting(QUEUE)
    await calendar.pass_time(MINUTE)
    assert len(await fetching) == 1


async def test_occurrence_is_skipped_if_a_live_job_holds_the_unique_key(
    bench: Bench, calendar: Calendar
) -> None:
    await calendar.put(unique_key="one at a time", unique_period="1d")
    await calendar.pass_time(MINUTE)
    await calendar.pass_time(MINUTE)
    schedule = await calendar.get()
    assert (schedule.last_run, schedule.last_skipped) == (START + MINUTE, START + 2 * MINUTE)
    assert "unique key 'one at a time'" in str(schedule.last_skip_reason)
    assert schedule.next_run == START + 3 * MINUTE
    (job,) = await calendar.jobs()
    await bench.ack(job)
    await calendar.pass_time(MINUTE)
    assert await calendar.occurrences() == [START + 3 * MINUTE]


async def test_schedules_of_one_commit_see_each_others_unique_keys(calendar: Calendar) -> None:
    for name in ("a", "b"):
        await calendar.put(name, unique_key="k")
    assert await calendar.pass_time(MINUTE) == 2
    assert len(await calendar.jobs()) == 1
    skipped = [(await calendar.get(name)).last_skipped for name in ("a", "b")]
    assert sorted(skipped, key=str) == [START + MINUTE, None]


async def test_schedule_without_its_zone_is_disabled_alone(
    bench: Bench, calendar: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    await calendar.put("lost", timezone="Europe/Berlin")
    await calendar.put()
    with monkeypatch.context() as patch:
        patch.setattr(cron, "_zones", lambda: frozenset({"UTC"}))
        assert await calendar.pass_time(MINUTE) == 2
        lost = await calendar.get("lost")
        assert bench.engine.schedules.upcoming(lost, 3) == []
    assert lost.next_run is None
    assert "Europe/Berlin" in str(lost.last_skip_reason)
    assert await calendar.occurrences() == [START + MINUTE]
    assert (await calendar.put("lost", timezone="Europe/Berlin")).next_run == START + 2 * MINUTE


async def test_next_occurrence_is_the_first_of_all(bench: Bench, calendar: Calendar) -> None:
    schedules = bench.engine.schedules
    assert await schedules.next_occurrence() is None
    await calendar.put("late", cron="0 12 * * *")
    await calendar.put("early", cron="0 9 * * *")
    assert await schedules.next_occurrence() == START + HOUR
    await schedules.pause("early")
    assert await schedules.next_occurrence() == START + 4 * HOUR
    await bench.restart()
    assert await bench.engine.schedules.next_occurrence() == START + 4 * HOUR
