"""`corvo bulk`: selection, dry run, confirmation, execution and progress."""

import json
from typing import Any

import pytest

from corvo_cli.bulk import actions
from corvo_cli.commands import bulk as commands
from corvo_cli.show.output import Output
from corvo_schema import BulkAction

LINE = "POST /jobs/bulk"
SEARCH = "POST /jobs/search"
BULK_ID = "bulk_01ARZ3NDEKTSV4RRFFQ69G5FAV"
DONE = b'{"affected":3,"errors":0,"duration_ms":1.5}'
ACCEPTED = {
    "bulk_operation_id": BULK_ID,
    "status": "queued",
    "estimated_total": 20_000,
    "progress_url": f"/api/v1/bulk/{BULK_ID}/progress",
}
OPERATION = {
    "id": BULK_ID,
    "status": "completed",
    "action": "retry",
    "total": 20_000,
    "processed": 20_000,
    "affected": 19_990,
    "errors": 10,
    "error": None,
    "created_at": "2026-01-31T07:00:00.000Z",
    "updated_at": None,
    "finished_at": "2026-01-31T07:01:00.000Z",
}


def job(number: int, state: str = "dead") -> dict[str, Any]:
    return {
        "id": f"job_{number}",
        "queue": "emails",
        "state": state,
        "payload": {"n": number},
        "created_at": "2026-01-31T07:00:00.000Z",
    }


def page(*jobs: dict[str, Any], total: int) -> dict[str, Any]:
    return {"jobs": list(jobs), "total": total, "cursor": None, "has_more": False}


def stream(*operations: dict[str, Any]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in operations)


@pytest.fixture
def interactive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `corvo` ask questions on a terminal."""
    monkeypatch.setattr(Output, "can_ask", property(lambda output: not output.is_json))


@pytest.mark.parametrize(
    ("arguments", "body", "message"),
    [
        (("retry",), {"action": "retry"}, "Retried 3 jobs.\n"),
        (("requeue",), {"action": "requeue"}, "Requeued 3 jobs.\n"),
        (("cancel",), {"action": "cancel"}, "Cancelled 3 jobs.\n"),
        (("delete",), {"action": "delete"}, "Deleted 3 jobs.\n"),
        (("move", "slow"), {"action": "move", "move_to_queue": "slow"}, "Moved 3 jobs.\n"),
        (
            ("priority", "high"),
            {"action": "change_priority", "priority": "high"},
            "Changed 3 jobs.\n",
        ),
    ],
)
@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_each_action_takes_ids_filters_or_stdin(
    corvo: Any,
    server: Any,
    arguments: tuple[str, ...],
    body: dict[str, Any],
    message: str,
    output: str,
) -> None:
    server.answer(LINE, DONE)
    results = [
        corvo("bulk", *arguments, "job_1", "job_2", "job_1", "-o", output),
        corvo("bulk", *arguments, "--queue", "emails", "--state", "dead", "-o", output),
        corvo("bulk", *arguments, "-o", output, stdin="job_7\n"),
    ]
    ids, filters, piped = server.bodies
    if body["action"] == "retry":
        assert ids.pop("states") == piped.pop("states") == ["cancelled", "dead"]
    assert ids == {**body, "job_ids": ["job_1", "job_2"]}
    assert filters == {**body, "filter": {"queue": "emails", "state": ["dead"]}}
    assert piped == {**body, "job_ids": ["job_7"]}
    for result in results:
        assert result.exit_code == 0
        expected = ("", message) if output == "table" else (DONE.decode() + "\n", "")
        assert (result.stdout, result.stderr) == expected


def test_empty_json_filter_is_accepted(corvo: Any, server: Any) -> None:
    server.answer(LINE, DONE)
    assert corvo("bulk", "delete", "--filter", "{}").exit_code == 0
    assert server.bodies == [{"action": "delete", "filter": {}}]


@pytest.mark.parametrize(
    ("arguments", "stdin", "states"),
    [
        (("job_1",), "", ["cancelled", "dead"]),
        ((), "job_1\n", ["cancelled", "dead"]),
        (("job_1", "--state", "completed"), "", ["completed"]),
        (("--error-contains", "timeout"), "", ["cancelled", "dead"]),
        (("--queue", "q", "--state", "completed"), "", ["completed"]),
        (("--filter", '{"state": "completed"}'), "", ["completed"]),
        (("job_1", "--filter", '{"state": "completed"}'), "", ["completed"]),
    ],
)
def test_retry_takes_completed_jobs_only_if_the_state_is_named(
    corvo: Any, server: Any, arguments: tuple[str, ...], stdin: str, states: list[str]
) -> None:
    server.answer(LINE, DONE)
    server.answer(SEARCH, page(total=1))
    server.answer("POST /jobs/bulk-get", {"jobs": [job(1, s) for s in ("completed", "dead")]})
    assert corvo("bulk", "retry", *arguments, stdin=stdin).exit_code == 0
    assert corvo("bulk", "retry", *arguments, "--background", stdin=stdin).exit_code == 0
    for sent in server.bodies:
        assert sent.get("states", sent.get("filter", {}).get("state")) == states
    result = corvo("bulk", "retry", *arguments, "--dry-run", "-o", "json", stdin=stdin)
    if "job_ids" in server.bodies[0]:
        assert json.loads(result.stdout)["eligible"] == 1
    else:
        assert server.bodies[-1]["state"] == states


def test_a_state_limits_other_actions_on_ids(corvo: Any, server: Any) -> None:
    server.answer(LINE, DONE)
    assert corvo("bulk", "delete", "job_1", "--state", "dead").exit_code == 0
    assert server.bodies == [{"action": "delete", "job_ids": ["job_1"], "states": ["dead"]}]


@pytest.mark.parametrize("option", [(), ("--dry-run",), ("--background",), ("-o", "json")])
def test_misspelt_queue_exits_with_3(corvo: Any, server: Any, option: tuple[str, ...]) -> None:
    none = {"affected": 0, "errors": 0, "duration_ms": 1}
    server.answer(LINE, {**ACCEPTED, "estimated_total": 0} if "--background" in option else none)
    server.answer(SEARCH, page(total=0))
    server.answer("GET /queues", [{"name": "emails"}, {"name": "reports"}])
    result = corvo("bulk", "retry", "--queue", "emial", *option)
    assert (result.exit_code, result.stdout) == (3, "")
    message = "There is no queue 'emial'. Did you mean emails? Nothing was changed."
    assert result.stderr == f"Error: {message}\n"
    if not option:
        assert corvo("bulk", "retry", "--queue", "emails").stderr == "Retried 0 jobs.\n"


@pytest.mark.usefixtures("interactive")
def test_misspelt_queue_is_not_asked_about(corvo: Any, server: Any) -> None:
    server.answer(SEARCH, page(total=0))
    server.answer("GET /queues", [])
    result = corvo("bulk", "delete", "--queue", "emial", stdin="y\n")
    assert (result.exit_code, server.lines) == (3, [SEARCH, "GET /queues"])


def test_number_of_skipped_jobs_is_printed(corvo: Any, server: Any) -> None:
    server.answer(LINE, {"affected": 1, "errors": 2, "duration_ms": 1})
    assert corvo("bulk", "retry", "a", "b", "c").stderr == (
        "Retried 1 job. Skipped 2: missing, or in a state that does not allow it. Name other "
        "states with --state.\n"
    )


def test_stdin_that_is_not_utf_8_is_wrong_usage(corvo: Any, server: Any) -> None:
    result = corvo("bulk", "retry", stdin=b"job_1\n\xff")
    assert result.exit_code == 2
    assert "stdin is not UTF-8 text" in result.stderr
    assert not server.requests


def test_piped_page_with_more_pages_prints_a_hint(corvo: Any, server: Any) -> None:
    server.answer(LINE, DONE)
    result = corvo("bulk", "retry", stdin='{"jobs": [{"id": "job_1"}], "has_more": true}')
    assert result.exit_code == 0
    assert result.stderr.startswith("Stdin has one page with 1 job, and the search has more.")


@pytest.mark.parametrize(
    ("output", "stdout", "stderr"),
    [
        ("table", "", "Retried 0 jobs.\n"),
        ("json", '{"affected":0,"errors":0,"duration_ms":0.0}\n', ""),
    ],
)
def test_empty_stdin_sends_no_request(
    corvo: Any, server: Any, output: str, stdout: str, stderr: str
) -> None:
    result = corvo("bulk", "retry", "-o", output, stdin="")
    assert (result.exit_code, result.stdout, result.stderr) == (0, stdout, stderr)
    assert not server.requests


def test_many_ids_take_several_requests(corvo: Any, server: Any) -> None:
    server.answer(LINE, {"affected": 9_999, "errors": 1, "duration_ms": 2})
    server.answer(LINE, {"affected": 5, "errors": 0, "duration_ms": 1})
    ids = "".join(f"job_{n}\n" for n in range(10_005))
    result = corvo("bulk", "retry", "-o", "json", stdin=ids)
    assert json.loads(result.stdout) == {"affected": 10_004, "errors": 1, "duration_ms": 3}
    assert [len(body["job_ids"]) for body in server.bodies] == [10_000, 5]


# Background


def answer_in_background(server: Any, *operations: dict[str, Any]) -> None:
    server.answer(LINE, ACCEPTED, 202)
    server.answer(
        f"GET /bulk/{BULK_ID}/progress", stream(*operations), content_type="text/event-stream"
    )


def test_large_operation_is_followed_to_its_end(corvo: Any, server: Any) -> None:
    running = {**OPERATION, "status": "running", "processed": 100}
    answer_in_background(server, running, OPERATION)
    result = corvo("bulk", "retry", "--queue", "emails")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        f"{BULK_ID} runs in the background.\n"
        "Retried 19,990 jobs. Skipped 10: missing, or in a state that does not allow it.\n"
    )


def test_json_of_a_large_operation_is_its_final_state(corvo: Any, server: Any) -> None:
    answer_in_background(server, OPERATION)
    result = corvo("bulk", "retry", "--queue", "emails", "-o", "json")
    assert json.loads(result.stdout) == OPERATION


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        ("cancelled", None, f"Error: {BULK_ID} is cancelled\n"),
        ("failed", "stopped: too slow", f"Error: {BULK_ID} is failed: stopped: too slow\n"),
    ],
)
def test_operation_that_is_not_completed_is_an_error(
    corvo: Any, server: Any, status: str, error: str | None, message: str
) -> None:
    answer_in_background(server, {**OPERATION, "status": status, "error": error})
    result = corvo("bulk", "retry", "--queue", "emails")
    assert result.exit_code == 1
    assert result.stderr.endswith(message)


def test_ids_whose_request_takes_long_are_followed_to_the_end(corvo: Any, server: Any) -> None:
    ids = "".join(f"job_{number}\n" for number in range(10_005))
    server.answer(LINE, ACCEPTED, 202)
    server.answer(LINE, {"affected": 5, "errors": 0, "duration_ms": 2.0})
    server.answer(
        f"GET /bulk/{BULK_ID}/progress", stream(OPERATION), content_type="text/event-stream"
    )
    result = corvo("bulk", "retry", "-o", "json", stdin=ids)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"affected": 19_995, "errors": 10, "duration_ms": 60_002.0}


@pytest.mark.parametrize("selection", [("--queue", "emails"), ("job_1", "job_2")])
@pytest.mark.parametrize("output", ["table", "json"])
def test_background_prints_the_id_at_once(
    corvo: Any, server: Any, selection: tuple[str, ...], output: str
) -> None:
    server.answer(LINE, ACCEPTED, 202)
    result = corvo("bulk", "retry", *selection, "--background", "-o", output)
    assert result.exit_code == 0
    assert server.bodies[0]["async"] is True
    if output == "table":
        assert result.stdout == f"{BULK_ID}\n"
        assert result.stderr == f"Follow it with `corvo bulk status {BULK_ID}`.\n"
    else:
        assert json.loads(result.stdout) == ACCEPTED


def test_ctrl_c_stops_following_but_not_the_operation(corvo: Any, server: Any) -> None:
    server.answer(LINE, ACCEPTED, 202)
    server.fail(f"GET /bulk/{BULK_ID}/progress", KeyboardInterrupt())
    result = corvo("bulk", "retry", "--queue", "emails")
    assert result.exit_code == 130
    assert f"Stopped following {BULK_ID}. The operation continues." in result.stderr


def test_progress_bar_is_drawn_on_a_terminal(
    corvo: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.progress import Progress

    drawn: list[tuple[float, float]] = []

    def update(_self: Progress, _task: object, *, completed: float, total: float) -> None:
        drawn.append((completed, total))

    monkeypatch.setattr(Output, "can_draw", property(lambda _self: True))
    monkeypatch.setattr(Progress, "update", update)
    answer_in_background(server, {**OPERATION, "status": "running", "processed": 100}, OPERATION)
    assert corvo("bulk", "retry", "--queue", "emails").exit_code == 0
    assert drawn == [(100, 20_000), (20_000, 20_000)]


# Dry run and confirmation


def test_dry_run_shows_what_would_be_done(corvo: Any, server: Any) -> None:
    server.answer(SEARCH, page(job(1), total=1_234))
    server.answer(SEARCH, page(*map(job, range(10)), total=1_200))
    result = corvo("bulk", "retry", "--queue", "emails", "--dry-run")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 11
    assert result.stderr == (
        "Would retry 1,200 jobs: those above and 1,190 more. The state of 34 does not allow it. "
        "Nothing was changed.\n"
    )
    assert server.lines == [SEARCH, SEARCH]
    assert server.bodies[1]["state"] == ["cancelled", "dead"]


@pytest.mark.parametrize("state", ['"dead"', '["dead", "active"]'])
def test_dry_run_uses_the_states_of_the_filter(corvo: Any, server: Any, state: str) -> None:
    server.answer(SEARCH, page(job(1), total=1))
    result = corvo("bulk", "retry", "--filter", f'{{"state": {state}}}', "--dry-run")
    assert server.bodies[1]["state"] == ["dead"]
    assert result.stderr == "Would retry 1 job: those above. Nothing was changed.\n"


def test_dry_run_without_eligible_jobs(corvo: Any, server: Any) -> None:
    server.answer(SEARCH, page(job(1, "active"), total=5))
    result = corvo("bulk", "retry", "--state", "active", "--dry-run")
    assert (result.stdout, result.stderr) == (
        "",
        "Would retry 0 jobs. The state of 5 does not allow it. Nothing was changed.\n",
    )
    assert len(server.requests) == 1


def test_dry_run_fetches_jobs_selected_by_id(corvo: Any, server: Any) -> None:
    server.answer(
        "POST /jobs/bulk-get", {"jobs": [job(n) for n in range(12)] + [job(99, "active")]}
    )
    result = corvo("bulk", "retry", "--dry-run", "job_1", "-o", "json")
    assert json.loads(result.stdout) == {
        "dry_run": True,
        "action": "retry",
        "matched": 13,
        "eligible": 12,
    }
    result = corvo("bulk", "retry", "--dry-run", stdin="job_1\n")
    assert len(result.stdout.splitlines()) == 11
    assert "Would retry 12 jobs: those above and 2 more." in result.stderr


def test_dry_run_fetches_large_jobs_in_several_requests(corvo: Any, server: Any) -> None:
    for _ in range(2):
        server.refuse("POST /jobs/bulk-get", 413, "PAYLOAD_TOO_LARGE")
    for number in (1, 2, 3):
        server.answer("POST /jobs/bulk-get", {"jobs": [job(number)]})
    ids = "".join(f"job_{number}\n" for number in range(300))
    result = corvo("bulk", "retry", "--dry-run", "-o", "json", stdin=ids)
    assert json.loads(result.stdout)["matched"] == 3
    sizes = [len(json.loads(request.content)["job_ids"]) for request in server.requests]
    assert sizes == [300, 250, 125, 125, 50]


@pytest.mark.usefixtures("interactive")
@pytest.mark.parametrize(
    ("answer", "exit_code", "requests"), [("y\n", 0, 2), ("n\n", 1, 1), ("\n", 1, 1), ("", 1, 1)]
)
def test_confirmation_is_asked_on_a_terminal(
    corvo: Any, server: Any, answer: str, exit_code: int, requests: int
) -> None:
    server.answer(SEARCH, page(job(1), total=1_234))
    server.answer(LINE, DONE)
    result = corvo("bulk", "retry", "--queue", "emails", "--state", "dead", stdin=answer)
    assert result.exit_code == exit_code
    assert "Retry 1,234 jobs that match queue=emails state=dead? [y/N]" in result.stderr
    assert len(server.requests) == requests
    if exit_code:
        assert "Error: Not confirmed. Nothing was changed." in result.stderr


@pytest.mark.usefixtures("interactive")
def test_confirmation_describes_an_empty_filter(corvo: Any, server: Any) -> None:
    server.answer(SEARCH, page(total=7))
    result = corvo("bulk", "delete", "--filter", "{}", stdin="n\n")
    assert "Delete 7 jobs without any filter?" in result.stderr


@pytest.mark.usefixtures("interactive")
@pytest.mark.parametrize(
    "arguments",
    [("--queue", "emails", "--yes"), ("--queue", "emails", "-o", "json"), ("job_1",)],
)
def test_confirmation_is_not_asked_if_it_is_not_needed(
    corvo: Any, server: Any, arguments: tuple[str, ...]
) -> None:
    server.answer(LINE, DONE)
    assert corvo("bulk", "retry", *arguments, stdin="").exit_code == 0
    assert server.lines == [LINE]


# Commands for background operations


def test_status_shows_the_progress(corvo: Any, server: Any) -> None:
    server.answer(f"GET /bulk/{BULK_ID}", OPERATION)
    assert corvo("bulk", "status", BULK_ID).stdout == (
        f"id:         {BULK_ID}\n"
        "action:     retry\n"
        "status:     completed\n"
        "processed:  20,000 of 20,000\n"
        "affected:   19,990\n"
        "skipped:    10\n"
        "created:    2026-01-31 07:00:00.000Z (1h ago)\n"
        "finished:   2026-01-31 07:01:00.000Z (59m ago)\n"
    )
    assert json.loads(corvo("bulk", "status", BULK_ID, "-o", "json").stdout) == OPERATION


@pytest.mark.parametrize(("status", "exit_code"), [("completed", 0), ("failed", 1)])
def test_status_can_be_followed(corvo: Any, server: Any, status: str, exit_code: int) -> None:
    answer_in_background(server, {**OPERATION, "status": "queued"}, {**OPERATION, "status": status})
    result = corvo("bulk", "status", BULK_ID, "--follow")
    assert result.exit_code == exit_code
    assert f"status:     {status}" in result.stdout


def test_stream_that_ends_early_is_an_error(
    corvo: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from corvo_client import Client

    monkeypatch.setattr(Client, "follow", lambda _self, _stream: (x for x in ()))
    result = corvo("bulk", "status", BULK_ID, "-f")
    assert result.exit_code == 1
    assert "ended the stream before the end" in result.stderr


def test_operations_are_listed(corvo: Any, server: Any) -> None:
    server.answer("GET /bulk", [OPERATION])
    assert corvo("bulk", "list").stdout.splitlines() == [
        "OPERATION                        ACTION  STATUS     PROCESSED   TOTAL  AFFECTED  CREATED",
        f"{BULK_ID}  retry   completed     20,000  20,000    19,990  1h ago",
    ]
    assert json.loads(corvo("bulk", "list", "-o", "jsonl").stdout) == OPERATION


def test_no_operations_is_no_data(corvo: Any, server: Any) -> None:
    server.answer("GET /bulk", [])
    result = corvo("bulk", "list")
    assert (result.stdout, result.stderr) == ("", "There are no bulk operations.\n")
    assert corvo("bulk", "list", "-o", "json").stdout == "[]\n"


def test_operation_is_stopped(corvo: Any, server: Any) -> None:
    server.answer(f"POST /bulk/{BULK_ID}/cancel", {**OPERATION, "status": "cancelled"})
    assert corvo("bulk", "stop", BULK_ID).stderr == f"{BULK_ID} is cancelled after 19,990 jobs.\n"
    server.refuse(f"POST /bulk/{BULK_ID}/cancel", 409, "INVALID_STATE")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("retry", "job_1", "--queue", "q"), "Give either job ids or filters, not both."),
        (("move",), "Missing argument 'QUEUE'"),
        (("priority", "urgent"), "'urgent' is not one of"),
        (("retry", "--background"), "--background accepts at most 10,000 ids, not "),
        (("explode",), "No such command 'explode'"),
    ],
)
def test_invalid_argument_is_wrong_usage(
    corvo: Any, server: Any, arguments: tuple[str, ...], message: str
) -> None:
    ids = "".join(f"job_{n}\n" for n in range(10_001))
    result = corvo("bulk", *arguments, stdin=ids)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not server.requests


def test_missing_selection_is_wrong_usage(
    corvo: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import _NamedTextIOWrapper

    monkeypatch.setattr(_NamedTextIOWrapper, "isatty", lambda self: self.name == "<stdin>")
    result = corvo("bulk", "retry")
    assert result.exit_code == 2
    assert "No jobs are selected. Give job ids or filters" in result.stderr


def test_invalid_filter_is_reported_by_its_option(corvo: Any, server: Any) -> None:
    details = [{"field": "filter.payload_jq", "message": "is no condition"}]
    server.refuse(LINE, 400, "VALIDATION_ERROR", details=details)
    result = corvo("bulk", "retry", "--payload-jq", ".")
    assert result.stderr.endswith("  --payload-jq: is no condition\n")


def test_actions_match_the_api() -> None:
    known = {value.api for value in vars(actions).values() if isinstance(value, actions.Action)}
    assert known == {action.value for action in BulkAction}
    assert set(commands.bulk.commands) - {"status", "list", "stop"} == {
        "priority" if action == "change_priority" else action for action in known
    }
