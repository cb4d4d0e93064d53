"""Actions on jobs and queues: each sends one request and prints one message."""

import json
from typing import Any

import pytest

JOB = ("job_1",)
ACTIONS: list[tuple[tuple[str, ...], str, Any, str, str]] = [
    (("retry", *JOB), "POST /jobs/job_1/retry", None, "retried", "job_1 is pending again."),
    (
        ("requeue", *JOB),
        "POST /jobs/job_1/requeue",
        None,
        "requeued",
        "job_1 gets one more attempt.",
    ),
    (("cancel", *JOB), "POST /jobs/job_1/cancel", None, "cancelled", "job_1 is cancelled."),
    (
        ("cancel", *JOB),
        "POST /jobs/job_1/cancel",
        None,
        "cancelling",
        "job_1 is active and will be cancelled by its worker.",
    ),
    (
        ("move", *JOB, "slow"),
        "POST /jobs/job_1/move",
        {"queue": "slow"},
        "moved",
        "job_1 is now in slow.",
    ),
    (
        ("priority", *JOB, "high"),
        "POST /jobs/job_1/priority",
        {"priority": "high"},
        "ok",
        "job_1 now has priority high.",
    ),
    (("delete", *JOB), "DELETE /jobs/job_1", None, "deleted", "job_1 is deleted."),
    (("pause", "a/b"), "POST /queues/a%2Fb/pause", None, "paused", "a/b is paused."),
    (("resume", "q"), "POST /queues/q/resume", None, "resumed", "q is resumed."),
    (("drain", "q"), "POST /queues/q/drain", None, "draining", "q is draining."),
    (("clear", "q"), "POST /queues/q/clear", None, "cleared", "Deleted 0 jobs of q."),
    (
        ("destroy", "q", "--confirm"),
        "DELETE /queues/q?confirm=true",
        None,
        "deleted",
        "Deleted q with 0 jobs.",
    ),
    (
        ("concurrency", "q", "1000"),
        "POST /queues/q/concurrency",
        {"max": 1000},
        "ok",
        "q: at most 1,000 active jobs.",
    ),
    (
        ("concurrency", "q", "0", "--per-key", "2"),
        "POST /queues/q/concurrency",
        {"max": 0, "per_key": 2},
        "ok",
        "q: no limit of active jobs and at most 2 active jobs per key.",
    ),
    (
        ("concurrency", "q", "--per-key", "0"),
        "POST /queues/q/concurrency",
        {"per_key": 0},
        "ok",
        "q: no limit of active jobs per key.",
    ),
    (
        ("throttle", "q", "100"),
        "POST /queues/q/throttle",
        {"rate": 100, "period": "1s"},
        "ok",
        "q: at most 100 jobs start in any 1s.",
    ),
    (
        ("throttle", "q", "5", "--per", "1m"),
        "POST /queues/q/throttle",
        {"rate": 5, "period": "1m"},
        "ok",
        "q: at most 5 jobs start in any 1m.",
    ),
    (
        ("defaults", "q", "--max-retries", "8", "--retry-base-delay", "1m", "--tag", "a=b"),
        "PUT /queues/q/defaults",
        {"max_retries": 8, "retry_base_delay": "1m", "tags": {"a": "b"}},
        "ok",
        "q: jobs have max_retries, retry_base_delay, tags by default.",
    ),
    (("defaults", "q", "--off"), "DELETE /queues/q/defaults", None, "ok", "q has no defaults."),
    (("throttle", "q", "--off"), "DELETE /queues/q/throttle", None, "ok", "q has no rate limit."),
]


@pytest.mark.parametrize(("arguments", "line", "body", "status", "message"), ACTIONS)
@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_action_sends_a_request_and_prints_a_message(
    corvo: Any,
    server: Any,
    arguments: tuple[str, ...],
    line: str,
    body: Any,
    status: str,
    message: str,
    output: str,
) -> None:
    server.has_no_queues = True
    server.answer(line, {"status": status})
    result = corvo("-o", output, *arguments)
    assert result.exit_code == 0
    assert (server.lines[-1], server.bodies[-1]) == (line, body)
    assert {*server.lines[:-1]} <= {"GET /queues/q"}
    if output == "table":
        assert (result.stdout, result.stderr) == ("", f"{message}\n")
    else:
        assert (result.stdout, result.stderr) == (f'{{"status": "{status}"}}\n', "")


@pytest.mark.parametrize(("arguments", "line"), [(action[0], action[1]) for action in ACTIONS])
@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [(404, "NOT_FOUND", 3), (401, "UNAUTHORIZED", 4), (409, "INVALID_STATE", 5)],
)
def test_refused_action_exits_with_5(
    corvo: Any,
    server: Any,
    arguments: tuple[str, ...],
    line: str,
    status: int,
    code: str,
    exit_code: int,
) -> None:
    server.has_no_queues = True
    server.refuse(line, status, code, "It is active.")
    result = corvo(*arguments)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr.startswith("Error: It is active.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("destroy", "q"), "Nothing was deleted. Add --confirm to delete q with all its jobs."),
        (("priority", "job_1", "urgent"), "'urgent' is not one of"),
        (("defaults", "q"), "Give either the options of the jobs, or only --off."),
        (("defaults", "q", "--off", "--max-retries", "1"), "or only --off."),
        (("concurrency", "q"), "No limit is given. Give a LIMIT, --per-key, or both."),
        (("concurrency", "q", "-1"), "No such option"),
        (("concurrency", "q", "--per-key", "-1"), "'-1' is not a whole number of at least 0."),
        (("throttle", "q"), "Give either a RATE, optionally with --per, or only --off."),
        (
            ("throttle", "q", "5", "--off"),
            "Give either a RATE, optionally with --per, or only --off.",
        ),
        (
            ("throttle", "q", "--off", "--per", "1m"),
            "Give either a RATE, optionally with --per, or only --off.",
        ),
        (("throttle", "q", "0"), "'0' is not a whole number of at least 1."),
        (("throttle", "q", "5", "--per", "often"), "--per: 'often' is not a duration"),
        (("move", "job_1"), "Missing argument 'QUEUE'"),
        (("move", "job_1", "a queue"), "QUEUE: must be 1 to 255 characters"),
    ],
)
def test_invalid_argument_is_wrong_usage(
    corvo: Any, server: Any, arguments: tuple[str, ...], message: str
) -> None:
    result = corvo(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not server.requests


DELETIONS = [
    (("clear", "q"), "POST /queues/q/clear", "Deleted 1,200 jobs of q.\n"),
    (
        ("destroy", "q", "--confirm"),
        "DELETE /queues/q?confirm=true",
        "Deleted q with 1,200 jobs.\n",
    ),
]


@pytest.mark.parametrize(("arguments", "line", "message"), DELETIONS)
def test_number_of_deleted_jobs_is_printed(
    corvo: Any, server: Any, arguments: tuple[str, ...], line: str, message: str
) -> None:
    server.answer(line, {"status": "deleted", "deleted": 1200})
    assert corvo(*arguments).stderr == message


@pytest.mark.parametrize(("arguments", "line", "message"), DELETIONS)
@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_deletion_in_the_background_is_followed(
    corvo: Any, server: Any, arguments: tuple[str, ...], line: str, message: str, status: str
) -> None:
    accepted = {"bulk_operation_id": "bulk_1", "status": "queued", "estimated_total": 1200}
    server.answer(line, {**accepted, "progress_url": "/api/v1/bulk/bulk_1/progress"}, 202)
    operation = {
        "id": "bulk_1",
        "status": status,
        "action": "delete_queue",
        "total": 1200,
        "affected": 1200,
        "created_at": "2026-01-31T07:00:00.000Z",
    }
    server.answer(
        "GET /bulk/bulk_1/progress",
        b"data: %b\n\n" % json.dumps(operation).encode(),
        content_type="text/event-stream",
    )
    result = corvo(*arguments)
    end = message if status == "completed" else "Error: bulk_1 is cancelled\n"
    assert result.stderr == f"bulk_1 runs in the background.\n{end}"
    assert result.exit_code == (status != "completed")


def test_new_defaults_keep_the_schema_that_a_worker_has_published(corvo: Any, server: Any) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}}
    server.answer("GET /queues/q", {"name": "q", "defaults": {"payload_schema": schema}})
    server.answer("PUT /queues/q/defaults", {"status": "ok"})
    assert corvo("defaults", "q", "--expire-after", "1h").exit_code == 0
    assert server.bodies[-1] == {"expire_after": "1h", "payload_schema": schema}


def test_queue_shows_its_defaults(corvo: Any, server: Any) -> None:
    defaults = {
        "priority": "high",
        "retry_base_delay": 0.5,
        "expire_after": 90,
        "tags": {"a": "b"},
        "payload_schema": {"properties": {"to": {}, "n": {}}},
        "updated_at": "2026-01-31T08:00:00.000Z",
    }
    server.answer("GET /queues/q", {"name": "q", "defaults": defaults})
    result = corvo("queues", "q")
    assert "priority high, retry_base_delay 500ms, expire_after 90s, tag a=b" in result.stdout
    assert "to, n" in result.stdout
