"""Schedules: write by name, get by id or name, replace, run by hand, delete."""

from typing import Any

import pytest

from corvo_schema.errors import ErrorCode
from corvo_server.engine.engine import Engine, Policy
from corvo_server.engine.errors import CallError
from corvo_server.engine.payloads import SizeLimits
from server_support.bench import QUEUE, Bench
from server_support.calendar import HOUR, MINUTE, Calendar, make_schedule
from server_support.clock import START


async def test_put_of_an_existing_name_replaces_the_schedule(
    bench: Bench, calendar: Calendar
) -> None:
    first, is_new = await bench.engine.schedules.put(*make_schedule())
    assert is_new
    bench.clock.forward(1)
    second, is_new = await bench.engine.schedules.put(*make_schedule(queue="other", payload=[1]))
    assert not is_new
    assert (second.id, second.created_at) == (first.id, START)
    assert (second.queue, second.payload, second.updated_at) == ("other", "[1]", START + 1)
    assert await bench.engine.schedules.list() == [second]


@pytest.mark.parametrize("change", [{}, {"queue": "other"}, {"misfire": "skip"}])
async def test_next_run_stays_if_the_calendar_stays(
    bench: Bench, calendar: Calendar, change: dict[str, Any]
) -> None:
    await calendar.put(cron="0 9 * * *")
    bench.clock.forward(2 * HOUR)  # due and not yet processed
    assert (await calendar.put(cron="0 9 * * *", **change)).next_run == START + HOUR


@pytest.mark.parametrize(
    ("change", "next_run"),
    [
        ({"cron": "0 15 * * *"}, START + 7 * HOUR),
        ({"timezone": "America/New_York"}, START + 6 * HOUR),
        ({"timezone": "Asia/Tokyo"}, START + 16 * HOUR),
    ],
)
async def test_next_run_changes_with_the_calendar(
    bench: Bench, calendar: Calendar, change: dict[str, Any], next_run: int
) -> None:
    await calendar.put(cron="0 9 * * *")
    bench.clock.forward(2 * HOUR)
    assert (await calendar.put(**{"cron": "0 9 * * *", **change})).next_run == next_run


async def test_edit_keeps_history_and_pause(bench: Bench, calendar: Calendar) -> None:
    await calendar.put()
    await calendar.pass_time(MINUTE)
    await bench.engine.schedules.pause("nightly")
    before = await calendar.get()
    after = await calendar.put(cron="@daily")
    assert after.is_paused
    assert (after.last_run, after.last_job_id) == (before.last_run, before.last_job_id)


async def test_replace_renames(bench: Bench, calendar: Calendar) -> None:
    schedule = await calendar.put()
    for reference, name in [(schedule.id, "hourly"), ("hourly", "daily")]:
        renamed = await bench.engine.schedules.replace(reference, *make_schedule(name))
        assert (renamed.id, renamed.name) == (schedule.id, name)
    await _refused(bench.engine.schedules.get("nightly"), ErrorCode.NOT_FOUND)


async def test_replace_refuses_a_name_that_is_taken(bench: Bench, calendar: Calendar) -> None:
    before = await calendar.put("a")
    await calendar.put("b")
    taken = bench.engine.schedules.replace("a", *make_schedule("b", queue="other"))
    assert "'b'" in await _refused(taken, ErrorCode.INVALID_STATE)
    assert await calendar.get("a") == before


async def test_id_takes_precedence_over_an_equal_name(calendar: Calendar) -> None:
    first = await calendar.put("first")
    second = await calendar.put(first.id)
    assert (await calendar.get(first.id)).name == "first"
    assert (await calendar.get(second.id)).name == first.id
    assert (await calendar.put(first.id, queue="other")).id == second.id


async def test_schedules_are_listed_by_name(bench: Bench, calendar: Calendar) -> None:
    for name in ("b", "c", "a"):
        await calendar.put(name)
    assert [schedule.name for schedule in await bench.engine.schedules.list()] == ["a", "b", "c"]


async def test_deleted_schedule_leaves_its_jobs(bench: Bench, calendar: Calendar) -> None:
    await calendar.put()
    await calendar.pass_time(MINUTE)
    await bench.engine.schedules.delete("nightly")
    assert await calendar.pass_time(HOUR) == 0
    assert await bench.engine.schedules.list() == []
    assert len(await calendar.jobs()) == 1


@pytest.mark.parametrize("is_paused", [False, True])
async def test_run_enqueues_a_job_and_keeps_next_run(
    bench: Bench, calendar: Calendar, is_paused: bool
) -> None:
    await calendar.put(payload={"n": 1})
    if is_paused:
        await bench.engine.schedules.pause("nightly")
    before = await calendar.get()
    fetching = await bench.waiting(QUEUE)
    bench.clock.forward(5_000)
    enqueued = await bench.engine.schedules.run("nightly")
    (job,) = await fetching
    assert job.head.id == enqueued.job_id
    assert (job.payload, job.head.scheduled_at) == ('{"n":1}', None)
    assert "run by hand" in str((await bench.job(job)).events[0].data)
    after = await calendar.get()
    assert (after.last_run, after.last_job_id) == (START + 5_000, job.head.id)
    assert (after.next_run, after.updated_at) == (before.next_run, before.updated_at)


async def test_run_names_the_job_that_holds_the_unique_key(
    bench: Bench, calendar: Calendar
) -> None:
    await calendar.put(unique_key="k")
    holder = await bench.enqueue(unique_key="k")
    before = await calendar.get()
    enqueued = await bench.engine.schedules.run("nightly")
    assert (enqueued.job_id, enqueued.is_duplicate) == (holder, True)
    assert await calendar.get() == before


async def test_verbs_refuse_an_unknown_schedule(bench: Bench) -> None:
    schedules = bench.engine.schedules
    calls = [verb("x") for verb in (schedules.get, schedules.delete, schedules.pause)]
    calls += [schedules.resume("x"), schedules.run("x"), schedules.replace("x", *make_schedule())]
    for call in calls:
        assert "There is no schedule 'x'." in await _refused(call, ErrorCode.NOT_FOUND)


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"cron": "0 25 * * *"}, [("cron", "hour: '25' is not valid")]),
        ({"cron": "0 0 31 2 *"}, [("cron", "'0 0 31 2 *' never fires")]),
        ({"timezone": "Europe/Berlni"}, [("timezone", "'Europe/Berlni' is not an IANA time zone")]),
        (
            {"cron": "@noon", "timezone": "CEST"},
            [("cron", "'@noon' is not one of"), ("timezone", "'CEST' is not an IANA time zone")],
        ),
    ],
)
async def test_put_refuses_an_invalid_calendar(
    bench: Bench, calendar: Calendar, fields: dict[str, Any], details: list[tuple[str, str]]
) -> None:
    before = await calendar.put()
    for call in (
        bench.engine.schedules.put(*make_schedule(**fields)),
        bench.engine.schedules.replace("nightly", *make_schedule(**fields)),
    ):
        with pytest.raises(CallError) as caught:
            await call
        assert caught.value.code is ErrorCode.VALIDATION_ERROR
        assert [field for field, _ in caught.value.details] == [field for field, _ in details]
        for (_, said), (_, expected) in zip(caught.value.details, details, strict=True):
            assert said.startswith(expected)
    assert await calendar.get() == before


async def test_put_refuses_a_payload_that_is_too_large(bench: Bench) -> None:
    engine = Engine(bench.store, clock=bench.clock, policy=Policy(limits=SizeLimits(payload=10)))
    call = engine.schedules.put(*make_schedule(payload="x" * 20))
    assert "payload has 22 bytes" in await _refused(call, ErrorCode.PAYLOAD_TOO_LARGE)


async def test_upcoming_starts_now(bench: Bench, calendar: Calendar) -> None:
    schedule = await calendar.put(cron="0 9,17 * * *")
    await bench.engine.schedules.pause("nightly")
    times = bench.engine.schedules.upcoming(schedule, 3)
    assert list(times) == [START + HOUR, START + 9 * HOUR, START + 25 * HOUR]
    assert list(bench.engine.schedules.upcoming(schedule, 0)) == []


async def _refused(call: Any, code: ErrorCode) -> str:
    with pytest.raises(CallError) as caught:
        await call
    assert caught.value.code is code
    return caught.value.message
