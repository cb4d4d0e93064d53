"""`corvo enqueue`: the request, the output, and `--wait`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
REPLY = b'{"job_id":"%b","status":"pending","unique_existing":false}' % JOB_ID.encode()
ENDED = {
    "id": JOB_ID,
    "queue": "emails",
    "state": "completed",
    "payload": {},
    "result": {"sent": 1.10},
    "created_at": "2026-01-31T08:00:00.000Z",
}
LINE = "POST /enqueue"


@pytest.fixture(autouse=True)
def _no_queues(server: Any) -> None:
    """The queues have no schemas."""
    server.has_no_queues = True


def body_of(server: Any) -> dict[str, Any]:
    body: dict[str, Any] = server.bodies[0]
    assert body.pop("job_id").startswith("job_")
    return body


@pytest.mark.parametrize(
    ("output", "stdout", "stderr"),
    [
        ("table", f"{JOB_ID}\n", "enqueued in emails, pending\n"),
        ("json", REPLY.decode() + "\n", ""),
        ("jsonl", REPLY.decode() + "\n", ""),
    ],
)
def test_enqueue_prints_the_id(
    corvo: Any, server: Any, output: str, stdout: str, stderr: str
) -> None:
    server.answer(LINE, REPLY, 201)
    result = corvo("enqueue", "emails", '{"to": "ada"}', "--output", output)
    assert (result.exit_code, result.stdout, result.stderr) == (0, stdout, stderr)
    assert body_of(server) == {"queue": "emails", "payload": {"to": "ada"}}


def test_all_options_are_sent(corvo: Any, server: Any) -> None:
    server.answer(LINE, REPLY, 201)
    result = corvo(
        *("enqueue", "emails", "[]", "--priority", "critical", "--unique-key", "k"),
        *("--unique-period", "2h", "--on-conflict", "replace", "--max-retries", "7"),
        *("--retry-backoff", "linear", "--retry-base-delay", "1s", "--retry-max-delay", "1h30m"),
        *("--scheduled-at", "2026-02-01T08:00:00+02:00", "--expire-after", "7d"),
        *("--tag", "tenant=acme", "--tag", "a b=c=d", "--concurrency-key", "acme"),
        *("--job-id", JOB_ID),
    )
    assert result.exit_code == 0
    assert server.bodies[:1] == [
        {
            "job_id": JOB_ID,
            "queue": "emails",
            "payload": [],
            "priority": "critical",
            "unique_key": "k",
            "unique_period": 7200,
            "on_conflict": "replace",
            "max_retries": 7,
            "retry_backoff": "linear",
            "retry_base_delay": "1s",
            "retry_max_delay": "1h30m",
            "scheduled_at": "2026-02-01T06:00:00.000Z",
            "expire_after": "7d",
            "tags": {"tenant": "acme", "a b": "c=d"},
            "concurrency_key": "acme",
        }
    ]


def test_missing_options_are_not_sent(corvo: Any, server: Any) -> None:
    server.answer(LINE, REPLY, 201)
    assert corvo("enqueue", "emails", "--delay", "10m").exit_code == 0
    assert body_of(server).keys() in (
        {"queue", "payload", "delay"},
        {"queue", "payload", "scheduled_at"},
    )


TEXT = '{"z": 1.10, "a": 123456789012345678901234567890, "é": "\\u00e9"}'


@pytest.mark.parametrize("source", ["literal", "file", "stdin"])
def test_payload_is_sent_unchanged(corvo: Any, server: Any, tmp_path: Path, source: str) -> None:
    server.answer(LINE, REPLY, 201)
    path = tmp_path / "payload.json"
    path.write_text(TEXT, encoding="utf-8")
    argument = {"literal": TEXT, "file": f"@{path}", "stdin": "-"}[source]
    stdin = b"\xef\xbb\xbf" + TEXT.encode() + b"\n" if source == "stdin" else None
    assert corvo("enqueue", "emails", argument, stdin=stdin).exit_code == 0
    assert f'"payload":{TEXT}'.encode() in server.requests[0].content


@pytest.mark.parametrize(
    ("argument", "stdin", "message"),
    [
        ("{to: 1}", None, "PAYLOAD is not valid JSON: .*Quote it for the shell"),
        ("NaN", None, "PAYLOAD is not valid JSON: NaN is not JSON"),
        ("-", b"{", "stdin is not valid JSON: [^Q]*$"),
        ("-", b"\xff", "stdin is not UTF-8 text"),
        ("@nowhere.json", None, "Cannot read 'nowhere.json': No such file"),
    ],
)
def test_invalid_payload_is_wrong_usage(
    corvo: Any, server: Any, argument: str, stdin: bytes | None, message: str
) -> None:
    result = corvo("enqueue", "emails", argument, stdin=stdin)
    assert result.exit_code == 2
    assert re.search(message, result.stderr), result.stderr
    assert not server.requests


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no spaces"], "QUEUE: must be 1 to 255 characters"),
        (["q", "--max-retries", "-1"], "'--max-retries': '-1' is not a whole number"),
        (["q", "--max-retries", "many"], "'many' is not a whole number of at least 0."),
        (["q", "--expire-after", "soon"], "--expire-after: 'soon' is not a duration"),
        (["q", "--scheduled-at", "1h"], "'1h' is in the past; write +1h for a time to come."),
        (["q", "--scheduled-at", "tomorrow"], "--scheduled-at: 'tomorrow' is not an RFC 3339"),
        (
            ["q", "--tag", "tenant"],
            "'tenant' is not a tag. Write it as KEY=VALUE, e.g. tenant=acme",
        ),
        (["q", "--tag", "=x"], "'=x' is not a tag"),
        (["q", "--job-id", "7"], "--job-id: must be job_ and a ULID"),
        (["q", "--priority", "urgent"], "'urgent' is not one of: critical"),
        (["q", "--wait-timeout", "soon"], "'soon' is not a duration"),
        ([], "Missing argument 'QUEUE'"),
    ],
)
def test_invalid_argument_is_wrong_usage(
    corvo: Any, server: Any, arguments: list[str], message: str
) -> None:
    result = corvo("enqueue", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not server.requests


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("duplicate", "not enqueued: a job in emails already has this unique key"),
        ("replaced", "the job in emails with this unique key was replaced"),
        ("rescheduled", "the job in emails with this unique key was rescheduled"),
    ],
)
def test_conflict_of_unique_keys_is_printed(
    corvo: Any, server: Any, status: str, words: str
) -> None:
    server.answer(LINE, {"job_id": JOB_ID, "status": status, "unique_existing": True})
    result = corvo("enqueue", "emails", "--unique-key", "k")
    assert (result.stdout, result.stderr) == (f"{JOB_ID}\n", f"{words}\n")


@pytest.mark.parametrize("flag", [["--wait"], ["--wait-timeout", "10s"]])
@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_wait_prints_the_job_once_it_has_ended(
    corvo: Any, server: Any, clock: Any, flag: list[str], output: str
) -> None:
    server.answer(LINE, REPLY, 201)
    for state in ("pending", "active", "active", "retrying"):
        server.answer(f"GET /jobs/{JOB_ID}", {**ENDED, "state": state})
    server.answer(f"GET /jobs/{JOB_ID}", ENDED)
    result = corvo("enqueue", "emails", *flag, "-o", output)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == ENDED
    assert result.stderr == f"{JOB_ID}: enqueued in emails, pending\n"
    assert clock.pauses == pytest.approx([0.05, 0.075, 0.1125, 0.16875])


def test_wait_shows_the_job_as_a_view(corvo: Any, server: Any) -> None:
    server.answer(LINE, REPLY, 201)
    server.answer(f"GET /jobs/{JOB_ID}", ENDED)
    result = corvo("enqueue", "emails", "--wait")
    assert result.exit_code == 0
    assert "state:     completed" in result.stdout
    assert '"sent": 1.1' in result.stdout


@pytest.mark.parametrize(
    ("state", "errors", "message"),
    [
        ("dead", [{"attempt": 1, "error": "Boom\nat x"}], f"{JOB_ID} is dead: Boom"),
        ("cancelled", [], f"{JOB_ID} is cancelled"),
    ],
)
def test_job_that_did_not_complete_is_an_error(
    corvo: Any, server: Any, state: str, errors: list[dict[str, Any]], message: str
) -> None:
    for error in errors:
        error["created_at"] = ENDED["created_at"]
    server.answer(LINE, REPLY, 201)
    server.answer(f"GET /jobs/{JOB_ID}", {**ENDED, "state": state, "errors": errors})
    result = corvo("enqueue", "emails", "--wait", "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["state"] == state
    assert result.stderr.endswith(f"Error: {message}\n")


def test_wait_ends_at_its_timeout(corvo: Any, server: Any, clock: Any) -> None:
    server.answer(LINE, REPLY, 201)
    server.answer(f"GET /jobs/{JOB_ID}", {**ENDED, "state": "active"})
    result = corvo("enqueue", "emails", "--wait-timeout", "5s", "-o", "json")
    assert result.exit_code == 7
    assert json.loads(result.stdout)["state"] == "active"
    assert f"{JOB_ID} is still active after 5s. The job continues." in result.stderr
    assert clock.seconds == 5
    assert max(clock.pauses) == 1


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        ([], "No worker serves emails. The job waits until one does. Start one"),
        ([{"id": "w", "queues": ["email"]}], "until one does. Did you mean email?"),
        ([{"id": "w", "queues": ["emails"], "status": "silent"}], "No worker serves emails."),
        ([{"id": "w", "queues": ["emails"]}], None),
    ],
)
def test_wait_says_once_that_no_worker_serves_the_queue(
    corvo: Any, server: Any, workers: list[dict[str, Any]], message: str | None
) -> None:
    server.answer(LINE, REPLY, 201)
    server.answer(f"GET /jobs/{JOB_ID}", {**ENDED, "state": "pending"})
    server.answer("GET /workers", workers)
    result = corvo("enqueue", "emails", "--wait-timeout", "9s")
    assert result.exit_code == 7
    assert server.lines.count("GET /workers") == 1
    assert result.stderr.count("No worker serves") == (message is not None)
    assert message is None or message in result.stderr


@pytest.mark.parametrize("state", ["active", "pending"])
def test_wait_goes_on_if_workers_cannot_be_listed(corvo: Any, server: Any, state: str) -> None:
    server.answer(LINE, REPLY, 201)
    server.answer(f"GET /jobs/{JOB_ID}", {**ENDED, "state": state})
    server.refuse("GET /workers", 403, "FORBIDDEN")
    result = corvo("enqueue", "emails", "--wait-timeout", "9s")
    assert result.exit_code == 7
    assert "No worker" not in result.stderr
    assert server.lines.count("GET /workers") == (state == "pending")


def test_wait_with_a_timeout_of_zero_polls_once(corvo: Any, server: Any, clock: Any) -> None:
    server.answer(LINE, REPLY, 201)
    server.answer(f"GET /jobs/{JOB_ID}", {**ENDED, "state": "active"})
    assert corvo("enqueue", "emails", "--wait-timeout", "0s").exit_code == 7
    assert clock.pauses == []


def test_ctrl_c_stops_waiting_but_not_the_job(corvo: Any, server: Any) -> None:
    server.answer(LINE, REPLY, 201)
    server.fail(f"GET /jobs/{JOB_ID}", KeyboardInterrupt())
    result = corvo("enqueue", "emails", "--wait")
    assert result.exit_code == 130
    assert f"Stopped waiting. {JOB_ID} continues" in result.stderr


def test_wait_shows_the_status_on_a_terminal(
    corvo: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    from corvo_cli.show.output import Output

    shown: list[str] = []

    class Status:
        def __enter__(self) -> "Status":
            return self

        def __exit__(self, *_: object) -> None: ...

        def update(self, text: object) -> None:
            shown.append(str(text))

    monkeypatch.setattr(Output, "can_draw", property(lambda _self: True))
    monkeypatch.setattr(Console, "status", lambda _self, _text: Status())
    server.answer(LINE, REPLY, 201)
    progress = {"current": 1, "total": 4, "message": "sending"}
    server.answer(f"GET /jobs/{JOB_ID}", {**ENDED, "state": "active", "progress": progress})
    error = {"attempt": 1, "error": "Boom\nat x", "created_at": ENDED["created_at"]}
    failed = {"state": "retrying", "attempt": 1, "max_retries": 3, "errors": [error]}
    server.answer(f"GET /jobs/{JOB_ID}", {**ENDED, **failed})
    server.answer(f"GET /jobs/{JOB_ID}", ENDED)
    assert corvo("enqueue", "emails", "--wait").exit_code == 0
    assert shown == [
        f"{JOB_ID} is active 1/4 (25%) sending",
        f"{JOB_ID} is retrying after attempt 1 of 3: Boom",
    ]


SCHEMA = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "copies": {"type": "integer"}},
    "required": ["to"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("payload", "schema", "warnings"),
    [
        ('{"to": "ada", "copies": 2}', SCHEMA, []),
        ('{"copies": "x"}', SCHEMA, ["$: 'to' is a required", "$.copies: 'x' is not of type"]),
        ("[1]", SCHEMA, ["$: [1] is not of type 'object'"]),
        ("[1]", {"$ref": "http://127.0.0.1:9/never-fetched"}, []),
        ('"x"', {"pattern": "("}, []),
        ("{}", {"type": 7}, []),
        ("{}", None, []),
    ],
)
def test_payload_that_does_not_match_the_schema_is_enqueued_with_a_warning(
    corvo: Any, server: Any, payload: str, schema: Any, warnings: list[str]
) -> None:
    server.answer(LINE, REPLY, 201)
    info = {"name": "emails", "defaults": {"payload_schema": schema}}
    server.answer("GET /queues/emails", info)
    result = corvo("enqueue", "emails", payload)
    assert (result.exit_code, result.stdout) == (0, f"{JOB_ID}\n")
    assert ("Warning" in result.stderr) == bool(warnings)
    for warning in warnings:
        assert warning in result.stderr


def test_queue_that_cannot_be_read_changes_nothing(corvo: Any, server: Any) -> None:
    server.answer(LINE, REPLY, 201)
    server.refuse("GET /queues/emails", 403, "FORBIDDEN")
    result = corvo("enqueue", "emails")
    assert (result.exit_code, result.stderr) == (0, "enqueued in emails, pending\n")
