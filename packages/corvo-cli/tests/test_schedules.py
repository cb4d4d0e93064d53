"""`corvo schedules` and its subcommands."""

import json
from typing import Any

import pytest

SCHEDULE = {
    "id": "sched_1",
    "name": "nightly",
    "queue": "reports",
    "cron": "0 2 * * *",
    "timezone": "Europe/Berlin",
    "payload": {"b": 1.5, "a": 1},
    "max_retries": 3,
    "priority": "high",
    "tags": {"team": "a"},
    "misfire": "skip",
    "paused": False,
    "last_run": "2026-01-31T01:00:00.000Z",
    "last_job_id": "job_1",
    "last_skipped": "2026-01-30T01:00:00.000Z",
    "last_skip_reason": "missed",
    "next_run": "2026-02-01T01:00:00.000Z",
    "upcoming": ["2026-02-01T01:00:00.000Z", "2026-02-02T01:00:00.000Z"],
}
PAUSED = {"id": "sched_2", "name": "x", "queue": "q", "cron": "@daily", "paused": True}
VIEW = """\
name:          nightly
id:            sched_1
queue:         reports
cron:          0 2 * * * in Europe/Berlin
status:        ok
priority:      high
attempts:      3
misfire:       skip
tags:          team=a
last run:      2026-01-31 01:00:00.000Z (7h ago)
last job:      job_1
last skipped:  2026-01-30 01:00:00.000Z (1d7h ago): missed
next run:      2026-02-01 01:00:00.000Z (in 17h)

payload:
  {
    "b": 1.5,
    "a": 1
  }

upcoming:
  2026-02-01 01:00:00.000Z (in 17h)
  2026-02-02 01:00:00.000Z (in 1d17h)
"""


def test_clock_change_among_the_upcoming_shows_utc_offsets(corvo: Any, server: Any) -> None:
    upcoming = ["2026-10-25T00:00:00.000Z", "2026-10-25T01:00:00.000Z"]
    hourly = {**SCHEDULE, "cron": "0 * * * *", "upcoming": upcoming}
    server.answer("GET /schedules/nightly", hourly)
    shown = corvo("schedules", "show", "nightly").stdout
    assert "00:00:00.000Z (in 266d16h)  2026-10-25 02:00+02:00\n" in shown
    assert "01:00:00.000Z (in 266d17h)  2026-10-25 02:00+01:00\n" in shown


def test_unknown_zone_shows_utc_only(corvo: Any, server: Any) -> None:
    server.answer("GET /schedules/nightly", {**SCHEDULE, "timezone": "Mars/Olympus"})
    assert "2026-02-01 01:00:00.000Z (in 17h)\n" in corvo("schedules", "show", "nightly").stdout


@pytest.mark.parametrize("arguments", [("schedules",), ("schedules", "list")])
def test_schedules_are_listed(corvo: Any, server: Any, arguments: tuple[str, ...]) -> None:
    server.answer("GET /schedules", [SCHEDULE, PAUSED])
    assert corvo(*arguments).stdout == (
        "SCHEDULE  QUEUE    CRON       TIMEZONE       STATUS  LAST RUN  NEXT RUN\n"
        "nightly   reports  0 2 * * *  Europe/Berlin  ok      7h ago    in 17h\n"
        "x         q        @daily     UTC            paused\n"
    )
    lines = corvo(*arguments, "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [SCHEDULE, PAUSED]


def test_empty_list_prints_only_a_message(corvo: Any, server: Any) -> None:
    server.answer("GET /schedules", [])
    result = corvo("schedules")
    assert (result.stdout, result.stderr) == (
        "",
        "There are no schedules. Create one with `corvo schedules set`.\n",
    )
    assert corvo("schedules", "-o", "json").stdout == "[]\n"


def test_schedule_is_shown(corvo: Any, server: Any) -> None:
    server.answer("GET /schedules/nightly", SCHEDULE)
    server.answer("GET /schedules/nightly?upcoming=2", SCHEDULE)
    assert corvo("schedules", "show", "nightly").stdout == VIEW
    result = corvo("schedules", "show", "nightly", "--upcoming", "2", "-o", "json")
    assert json.loads(result.stdout) == SCHEDULE


def test_view_of_a_schedule_without_optional_fields(corvo: Any, server: Any) -> None:
    server.answer("GET /schedules/x", {**PAUSED, "last_skipped": SCHEDULE["last_run"]})
    text = corvo("schedules", "show", "x").stdout
    assert "status:        paused" in text
    assert "last skipped:  2026-01-31 01:00:00.000Z (7h ago)\n" in text
    assert "then:" not in text
    assert text.endswith("payload:\n  null\n")


def test_set_sends_all_options(corvo: Any, server: Any) -> None:
    server.has_no_queues = True
    server.answer("POST /schedules", SCHEDULE, 201)
    result = corvo(
        *("schedules", "set", "nightly", '{"b": 1.50, "a": 1}', "--queue", "reports"),
        *("--cron", "0 2 * * *", "--timezone", "Europe/Berlin", "--misfire", "skip"),
        *("--unique-key", "k", "--unique-period", "2h", "--max-retries", "5"),
        *("--priority", "high", "--tag", "team=a", "--concurrency-key", "acme"),
        *("--retry-backoff", "fixed", "--retry-base-delay", "1s", "--retry-max-delay", "2s"),
        *("--expire-after", "1h"),
    )
    assert (result.exit_code, result.stdout) == (0, VIEW)
    assert b'"payload":{"b": 1.50, "a": 1}' in server.requests[0].content
    assert server.bodies[:1] == [
        {
            "name": "nightly",
            "payload": {"b": 1.5, "a": 1},
            "queue": "reports",
            "cron": "0 2 * * *",
            "timezone": "Europe/Berlin",
            "misfire": "skip",
            "unique_key": "k",
            "unique_period": 7200,
            "max_retries": 5,
            "retry_backoff": "fixed",
            "retry_base_delay": "1s",
            "retry_max_delay": "2s",
            "expire_after": "1h",
            "concurrency_key": "acme",
            "priority": "high",
            "tags": {"team": "a"},
        }
    ]


def test_set_does_not_send_missing_options(corvo: Any, server: Any) -> None:
    server.has_no_queues = True
    server.answer("POST /schedules", SCHEDULE, 201)
    result = corvo("schedules", "set", "n", "--queue", "q", "--cron", "@daily", "-o", "json")
    assert json.loads(result.stdout) == SCHEDULE
    assert server.bodies[:1] == [{"name": "n", "queue": "q", "cron": "@daily", "payload": {}}]


@pytest.mark.parametrize(
    ("action", "line", "status", "message"),
    [
        ("pause", "POST /schedules/nightly/pause", "paused", "nightly is paused."),
        (
            "resume",
            "POST /schedules/nightly/resume",
            "resumed",
            "nightly is resumed.",
        ),
        ("delete", "DELETE /schedules/nightly", "deleted", "nightly is deleted."),
    ],
)
@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_action_sends_a_request_and_prints_a_message(
    corvo: Any, server: Any, action: str, line: str, status: str, message: str, output: str
) -> None:
    server.answer(line, {"status": status})
    result = corvo("schedules", action, "nightly", "-o", output)
    assert result.exit_code == 0
    if output == "table":
        assert (result.stdout, result.stderr) == ("", f"{message}\n")
    else:
        assert (result.stdout, result.stderr) == (f'{{"status": "{status}"}}\n', "")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("enqueued", "enqueued by nightly"),
        ("duplicate", "not enqueued: a job already has its unique key"),
    ],
)
def test_run_prints_the_id(corvo: Any, server: Any, status: str, message: str) -> None:
    server.answer("POST /schedules/nightly/run", {"status": status, "job_id": "job_1"})
    result = corvo("schedules", "run", "nightly")
    assert (result.stdout, result.stderr) == ("job_1\n", f"{message}\n")
    result = corvo("schedules", "run", "nightly", "-o", "json")
    assert json.loads(result.stdout) == {"status": status, "job_id": "job_1"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("set", "n", "--queue", "q"), "Missing option '--cron'"),
        (("set", "n", "--cron", "@daily"), "Missing option '--queue'"),
        (("set", "n", "{", "--queue", "q", "--cron", "@daily"), "PAYLOAD is not valid JSON"),
        (("set", "n" * 300, "--queue", "q", "--cron", "@daily"), "NAME: "),
        (("set", "n", "--queue", "a b", "--cron", "@daily"), "--queue: must be"),
        (("show", "n", "--upcoming", "101"), "'101' is not a whole number from 0 to 100."),
    ],
)
def test_invalid_argument_is_wrong_usage(
    corvo: Any, server: Any, arguments: tuple[str, ...], message: str
) -> None:
    result = corvo("schedules", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not server.requests


def test_missing_schedule_exits_with_3(corvo: Any, server: Any) -> None:
    server.refuse("GET /schedules/n", 404, "NOT_FOUND", "There is no schedule n.")
    assert corvo("schedules", "show", "n").exit_code == 3


def test_refused_list_sets_the_exit_code(corvo: Any, server: Any) -> None:
    server.refuse("GET /schedules", 401, "UNAUTHORIZED", "No key.")
    assert corvo("schedules").exit_code == 4


def test_warnings_about_a_schedule_are_printed(corvo: Any, server: Any) -> None:
    reply = {**SCHEDULE, "warnings": ["There is no queue 'reports'."]}
    server.answer("POST /schedules", reply, 201)
    schema = {"type": "object", "required": ["to"]}
    server.answer(
        "GET /queues/reports", {"name": "reports", "defaults": {"payload_schema": schema}}
    )
    result = corvo("schedules", "set", "n", "--queue", "reports", "--cron", "@daily", "-o", "json")
    assert result.exit_code == 0
    assert "Warning: There is no queue 'reports'." in result.stderr
    assert "a worker of reports may refuse this payload: $: 'to' is a required" in result.stderr


def test_options_that_the_queue_decides_are_shown_as_such(corvo: Any, server: Any) -> None:
    shown = {
        **SCHEDULE,
        "defaults": ["max_retries"],
        "concurrency_key": "acme",
        "expire_after": 90,
        "retry_backoff": "fixed",
    }
    server.answer("GET /schedules/nightly", shown)
    result = corvo("schedules", "show", "nightly")
    for line in ("default of the queue", "acme", "1m30s", "fixed"):
        assert line in result.stdout
