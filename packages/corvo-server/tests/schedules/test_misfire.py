"""Occurrences that were missed, by `misfire`."""

import pytest

from corvo_server.engine import occurrences
from server_support.bench import Bench
from server_support.calendar import HOUR, MINUTE, Calendar
from server_support.clock import START

DAY = 24 * HOUR
GRACE = occurrences.GRACE


async def test_run_once_makes_one_job_of_all_missed_occurrences(calendar: Calendar) -> None:
    await calendar.put(misfire="run_once")
    assert await calendar.pass_time(10 * MINUTE + 5_000) == 1
    assert await calendar.occurrences() == [START + MINUTE]
    schedule = await calendar.get()
    assert schedule.last_run == START + 10 * MINUTE + 5_000
    assert schedule.next_run == START + 11 * MINUTE
    assert schedule.last_skipped is None


async def test_run_once_runs_an_occurrence_that_is_days_late(calendar: Calendar) -> None:
    await calendar.put(cron="0 9 * * *")
    assert await calendar.pass_time(3 * DAY) == 1
    assert await calendar.occurrences() == [START + HOUR]
    assert (await calendar.get()).next_run == START + 3 * DAY + HOUR


async def test_skip_skips_a_missed_occurrence(calendar: Calendar) -> None:
    await calendar.put(cron="0 9 * * *", misfire="skip")
    assert await calendar.pass_time(3 * HOUR) == 1
    assert await calendar.occurrences() == []
    schedule = await calendar.get()
    assert schedule.last_run is None
    assert schedule.last_skipped == START + HOUR
    assert schedule.last_skip_reason == "2h late, misfire is skip"
    assert schedule.next_run == START + DAY + HOUR


@pytest.mark.parametrize(("late", "runs"), [(0, 1), (GRACE - 1, 1), (GRACE, 0)])
async def test_skip_runs_an_occurrence_that_is_slightly_late(
    calendar: Calendar, late: int, runs: int
) -> None:
    await calendar.put(cron="0 9 * * *", misfire="skip")
    await calendar.pass_time(HOUR + late)
    assert len(await calendar.jobs()) == runs
    assert ((await calendar.get()).last_skipped is None) == bool(runs)


@pytest.mark.parametrize("late", [0, 5_000, GRACE - 1])
async def test_skip_runs_the_occurrence_in_time_among_missed_ones(
    calendar: Calendar, late: int
) -> None:
    await calendar.put(misfire="skip")
    await calendar.pass_time(10 * MINUTE + late)
    assert await calendar.occurrences() == [START + 10 * MINUTE]
    schedule = await calendar.get()
    assert schedule.last_skipped == START + MINUTE
    assert schedule.next_run == START + 11 * MINUTE


async def test_paused_schedule_does_not_run(bench: Bench, calendar: Calendar) -> None:
    await calendar.put()
    await bench.engine.schedules.pause("nightly")
    assert await calendar.pass_time(HOUR) == 0
    assert (await calendar.get()).is_paused


@pytest.mark.parametrize(("misfire", "runs"), [("run_once", 1), ("skip", 0)])
async def test_resumed_schedule_processes_missed_occurrences(
    bench: Bench, calendar: Calendar, misfire: str, runs: int
) -> None:
    await calendar.put(cron="*/10 * * * *", misfire=misfire)
    await bench.engine.schedules.pause("nightly")
    bench.clock.forward(HOUR + 5 * MINUTE)
    await bench.engine.schedules.resume("nightly")
    assert await calendar.pass_time() == 1
    assert len(await calendar.jobs()) == runs
    assert (await calendar.get()).next_run == START + HOUR + 10 * MINUTE


async def test_resumed_schedule_without_missed_occurrences_continues(
    bench: Bench, calendar: Calendar
) -> None:
    await calendar.put()
    for verb in (bench.engine.schedules.pause, bench.engine.schedules.resume):
        await verb("nightly")
        await verb("nightly")
    assert await calendar.pass_time() == 0
    assert await calendar.pass_time(MINUTE) == 1
