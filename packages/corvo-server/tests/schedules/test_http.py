"""Schedules over HTTP."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from corvo_schema import JobOptions, Schedule
from corvo_server.app import build_http
from corvo_server.engine.engine import Engine
from corvo_server.http_server import bind, start_http
from corvo_server.settings import Settings
from server_support.bench import Bench
from server_support.calendar import MINUTE, Calendar

SCHEDULE = {"name": "nightly", "queue": "mail", "cron": "30 8 * * *", "timezone": "Europe/Berlin"}
FIRST = "2027-01-16T07:30:00.000Z"


@pytest.fixture
async def http(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an HTTP server over `engine`."""
    settings = Settings(bind="127.0.0.1:0")
    app, _ = build_http(settings, engine)
    app.config.TOUCHUP = False  # it would rewrite Sanic's methods for the whole process
    listener = bind(settings.bind)
    server = await start_http(app, listener)
    port = listener.getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as client:
        yield client
    server.close()
    await server.wait_closed()


async def test_schedule_is_returned_as_it_was_written(
    http: httpx.AsyncClient, calendar: Calendar
) -> None:
    created = await http.post("/schedules", json=SCHEDULE)
    assert created.status_code == 201
    schedule = created.json()
    assert schedule["next_run"] == FIRST
    assert schedule["upcoming"][:2] == [FIRST, "2027-01-17T07:30:00.000Z"]
    assert len(schedule["upcoming"]) == 5
    assert (schedule["paused"], schedule["last_run"], schedule["misfire"]) == (
        False,
        None,
        "run_once",
    )
    for reference in (schedule["id"], "nightly"):
        assert (await http.get(f"/schedules/{reference}")).json() == schedule
    assert (await http.get("/schedules")).json() == [{**schedule, "upcoming": [], "warnings": []}]
    assert Schedule.model_validate(schedule).name == "nightly"

    again = await http.post("/schedules", json={**SCHEDULE, "queue": "other"})
    assert (again.status_code, again.json()["id"]) == (200, schedule["id"])

    changed = await http.put("/schedules/nightly", json={**SCHEDULE, "cron": "* * * * *"})
    assert changed.status_code == 200
    assert changed.json()["next_run"] == "2027-01-15T08:01:00.000Z"

    ran = await http.post("/schedules/nightly/run")
    assert (ran.status_code, ran.json()["status"]) == (200, "enqueued")
    assert (await http.get(f"/jobs/{ran.json()['job_id']}")).json()["queue"] == "mail"

    await calendar.pass_time(MINUTE)
    shown = (await http.get("/schedules/nightly")).json()
    assert shown["last_run"] == "2027-01-15T08:01:00.000Z"
    job = (await http.get(f"/jobs/{shown['last_job_id']}")).json()
    assert job["scheduled_at"] == "2027-01-15T08:01:00.000Z"

    assert (await http.post("/schedules/nightly/pause")).json()["status"] == "paused"
    paused = (await http.get("/schedules/nightly")).json()
    assert (paused["paused"], paused["next_run"]) == (True, None)
    assert paused["upcoming"][0] == "2027-01-15T08:02:00.000Z"
    assert (await http.post("/schedules/nightly/resume")).json()["status"] == "resumed"
    assert (await http.get("/schedules/nightly")).json()["next_run"] is not None

    assert (await http.delete("/schedules/nightly")).json()["status"] == "deleted"
    assert (await http.get("/schedules/nightly")).status_code == 404
    assert (await http.get("/schedules")).json() == []


async def test_payload_is_kept_byte_for_byte(http: httpx.AsyncClient) -> None:
    payload = '{"z": 1.0 ,"a":123456789012345678901234567890, "u":"\\u00e9é"}'
    body = json.dumps(SCHEDULE)[:-1] + f', "payload": {payload}}}'
    headers = {"content-type": "application/json"}
    for call in (
        http.post("/schedules", content=body, headers=headers),
        http.put("/schedules/nightly", content=body, headers=headers),
        http.get("/schedules/nightly"),
    ):
        assert f'"payload":{payload},' in (await call).text
    job_id = (await http.post("/schedules/nightly/run")).json()["job_id"]
    assert f'"payload":{payload},' in (await http.get(f"/jobs/{job_id}")).text


async def test_absent_payload_is_an_empty_object(http: httpx.AsyncClient) -> None:
    assert (await http.post("/schedules", json=SCHEDULE)).json()["payload"] == {}


async def test_name_may_contain_any_character(http: httpx.AsyncClient) -> None:
    name = "night/ly ä?#%2F"
    await http.post("/schedules", json={**SCHEDULE, "name": name})
    path = "/schedules/night%2Fly%20%C3%A4%3F%23%252F"
    assert (await http.get(path)).json()["name"] == name
    assert (await http.post(f"{path}/run")).status_code == 200


async def test_run_reports_a_live_job_with_the_unique_key(
    http: httpx.AsyncClient, bench: Bench
) -> None:
    holder = await bench.enqueue(unique_key="k")
    await http.post("/schedules", json={**SCHEDULE, "unique_key": "k"})
    ran = await http.post("/schedules/nightly/run")
    assert ran.json() == {"status": "duplicate", "job_id": holder}


@pytest.mark.parametrize(("count", "times"), [("0", 0), ("7", 7), ("100", 100)])
async def test_upcoming_returns_the_requested_number(
    http: httpx.AsyncClient, count: str, times: int
) -> None:
    await http.post("/schedules", json=SCHEDULE)
    shown = await http.get("/schedules/nightly", params={"upcoming": count})
    assert len(shown.json()["upcoming"]) == times


@pytest.mark.parametrize("count", ["101", "-1", "x", "1.0", "٣", "9" * 5000])
async def test_invalid_number_of_upcoming_is_refused(http: httpx.AsyncClient, count: str) -> None:
    reply = await http.get("/schedules/nightly", params={"upcoming": count})
    _check_refused(reply, 400, "VALIDATION_ERROR", "upcoming")


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"cron": "61 * * * *"}, "cron", "minute: '61'"),
        ({"cron": "* 24 * * *"}, "cron", "hour: '24'"),
        ({"cron": "* * 32 * *"}, "cron", "day: '32'"),
        ({"cron": "* * * 13 *"}, "cron", "month: '13'"),
        ({"cron": "* * * * 9"}, "cron", "weekday: '9'"),
        ({"cron": "hello"}, "cron", "five fields"),
        ({"cron": ""}, "cron", "at least 1 character"),
        ({"cron": 5}, "cron", "string"),
        ({"cron": "0 0 31 2 *"}, "cron", "never fires"),
        ({"timezone": "Mars/Olympus"}, "timezone", "not an IANA time zone"),
        ({"name": None}, "name", "string"),
        ({"name": ""}, "name", "at least 1 character"),
        ({"queue": "no spaces"}, "queue", "A-Z a-z 0-9"),
        ({"misfire": "later"}, "misfire", "run_once, skip"),
        ({"priority": "low"}, "priority", "critical, high or normal"),
        ({"max_retries": -1}, "max_retries", "greater than or equal to 0"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_bad_schedule_is_refused_and_changes_nothing(
    http: httpx.AsyncClient, method: str, change: dict[str, Any], field: str, said: str
) -> None:
    before = (await http.post("/schedules", json=SCHEDULE)).json()
    path = "/schedules" if method == "POST" else "/schedules/nightly"
    reply = await http.request(method, path, json={**SCHEDULE, **change})
    detail = _check_refused(reply, 400, "VALIDATION_ERROR", field)
    assert said in detail["message"]
    assert (await http.get("/schedules")).json() == [{**before, "upcoming": [], "warnings": []}]


async def test_missing_fields_are_named(http: httpx.AsyncClient) -> None:
    reply = await http.post("/schedules", json={})
    fields = [detail["field"] for detail in reply.json()["details"]]
    assert (reply.status_code, fields) == (400, ["name", "queue", "cron"])


async def test_unknown_field_is_refused_with_strict(http: httpx.AsyncClient) -> None:
    body = {**SCHEDULE, "time_zone": "UTC"}
    reply = await http.post("/schedules", params={"strict": "true"}, json=body)
    _check_refused(reply, 400, "VALIDATION_ERROR", "time_zone")


async def test_name_that_is_taken_is_a_conflict(http: httpx.AsyncClient) -> None:
    for name in ("nightly", "other"):
        await http.post("/schedules", json={**SCHEDULE, "name": name})
    reply = await http.put("/schedules/other", json=SCHEDULE)
    _check_refused(reply, 409, "INVALID_STATE", "name")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/schedules/x"),
        ("PUT", "/schedules/x"),
        ("DELETE", "/schedules/x"),
        ("POST", "/schedules/x/pause"),
        ("POST", "/schedules/x/resume"),
        ("POST", "/schedules/x/run"),
    ],
)
async def test_unknown_schedule_is_not_found(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    reply = await http.request(method, path, json=SCHEDULE if method == "PUT" else None)
    assert (reply.status_code, reply.json()["code"]) == (404, "NOT_FOUND")
    assert reply.json()["error"] == "There is no schedule 'x'."


def _check_refused(reply: httpx.Response, status: int, code: str, field: str) -> dict[str, str]:
    body = reply.json()
    assert (reply.status_code, body["code"]) == (status, code)
    (detail,) = body["details"]
    assert detail["field"] == field
    return detail


async def test_unknown_queue_is_a_warning_until_it_exists(
    http: httpx.AsyncClient, bench: Bench
) -> None:
    created = (await http.post("/schedules", json=SCHEDULE)).json()
    assert "no queue 'mail'" in created["warnings"][0]
    await bench.enqueue("mail")
    assert (await http.get("/schedules/nightly")).json()["warnings"] == []
    again = await http.put("/schedules/nightly", json={**SCHEDULE, "queue": "nail"})
    assert "no queue 'nail'" in again.json()["warnings"][0]
    await bench.fetch("nail")  # a worker serves it
    assert (await http.get("/schedules/nightly")).json()["warnings"] == []


async def test_schedule_takes_every_option_of_a_job(
    http: httpx.AsyncClient, bench: Bench, calendar: Calendar
) -> None:
    options = {
        "priority": "high",
        "max_retries": 7,
        "retry_backoff": "fixed",
        "retry_base_delay": "2s",
        "retry_max_delay": "3s",
        "unique_key": "k",
        "unique_period": 60,
        "expire_after": "90s",
        "tags": {"a": "b"},
        "concurrency_key": "acme",
    }
    body = {**SCHEDULE, "cron": "* * * * *", **options}
    shown = (await http.post("/schedules", json=body)).json()
    assert {name: shown[name] for name in options} == options | {
        "retry_base_delay": 2,
        "retry_max_delay": 3,
        "expire_after": 90,
    }
    assert shown["defaults"] == []
    await bench.restart()
    await calendar.pass_time(MINUTE)
    (leased,) = await calendar.jobs()
    head = leased.head
    assert (head.priority.label, head.max_retries, head.backoff) == ("high", 7, "fixed")
    assert (head.base_delay, head.max_delay, head.unique_period) == (2_000, 3_000, 60_000)
    assert head.expire_at == head.created_at + 90_000
    assert (head.unique_key, head.concurrency_key, leased.tags) == ("k", "acme", '{"a":"b"}')


async def test_schedule_leaves_options_to_the_defaults_of_its_queue(
    http: httpx.AsyncClient, bench: Bench, calendar: Calendar
) -> None:
    body = {**SCHEDULE, "cron": "* * * * *", "max_retries": 4, "priority": None}
    shown = (await http.post("/schedules", json=body)).json()
    assert "max_retries" not in shown["defaults"]
    assert {"priority", "expire_after", "tags"} < set(shown["defaults"])
    defaults = {"priority": "critical", "max_retries": 9, "expire_after": "5s"}
    await http.put("/queues/mail/defaults", json=defaults)
    await calendar.pass_time(MINUTE)
    await bench.engine.schedules.run("nightly")
    for leased in await calendar.jobs():
        head = leased.head
        assert (head.priority.label, head.max_retries) == ("critical", 4)
        assert head.expire_at == head.created_at + 5_000


async def test_schedule_of_an_older_server_keeps_its_options(
    bench: Bench, calendar: Calendar
) -> None:
    """An older server has stored no row of options: its columns decide."""
    await calendar.put(max_retries=6, tags={"a": "b"})
    bench.kit.query("DELETE FROM schedule_options WHERE ? = ? RETURNING schedule", 1, 1)
    await bench.engine.queues.set_defaults("mail", JobOptions(max_retries=9, priority="high"), None)
    await calendar.pass_time(MINUTE)
    (leased,) = await calendar.jobs()
    assert (leased.head.max_retries, leased.head.priority.label) == (6, "normal")
    assert leased.tags == '{"a":"b"}'
