"""`corvo search`: filters, pages, and formats."""

import json
from pathlib import Path
from typing import Any

import pytest

JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
LINE = "POST /jobs/search"


def job_text(number: int, **more: Any) -> str:
    job = {
        "id": f"job_{number}",
        "queue": "emails",
        "state": "pending",
        "payload": "PAYLOAD",
        "priority": "high",
        "attempt": 1,
        "max_retries": 3,
        "created_at": "2026-01-31T07:00:00.000Z",
        **more,
    }
    return json.dumps(job, separators=(",", ":")).replace('"PAYLOAD"', '{"n":1.10}')


def page(*jobs: str, total: int = 0, cursor: str | None = None, **more: Any) -> bytes:
    rest = {
        "total": total or len(jobs),
        "cursor": cursor,
        "has_more": cursor is not None,
        "duration_ms": 1.5,
        **more,
    }
    return f'{{"jobs":[{",".join(jobs)}],{json.dumps(rest)[1:]}'.encode()


def test_table_has_a_row_for_each_job(corvo: Any, server: Any) -> None:
    error = {"attempt": 1, "error": "Boom", "created_at": "2026-01-31T07:00:00.000Z"}
    jobs = [
        job_text(1),
        job_text(2, state="dead", errors=[{**error, "error": "old"}, error]),
        job_text(3, state="active", progress={"current": 1, "total": 2}, priority="unheard-of"),
        job_text(4, errors=[{**error, "error": "x" * 200}], max_retries=0),
    ]
    server.answer(LINE, page(*jobs))
    result = corvo("search")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "JOB    QUEUE   STATE    PRIORITY    ATTEMPT  CREATED  DETAILS",
        'job_1  emails  pending  high            1/3  1h ago   {"n":1.10}',
        "job_2  emails  dead     high            1/3  1h ago   Boom",
        "job_3  emails  active   unheard-of      1/3  1h ago   1/2 (50%)",
        f"job_4  emails  pending  high            1/1  1h ago   {'x' * 119}…",
    ]
    assert server.bodies == [{"sort": "created_at", "order": "desc", "limit": 50}]


def test_json_of_one_page_is_unchanged(corvo: Any, server: Any) -> None:
    body = page(job_text(1), job_text(2), total=9, cursor="c2")
    server.answer(LINE, body)
    result = corvo("search", "--limit", "2", "-o", "json")
    assert result.stdout == body.decode() + "\n"
    assert result.stderr == ""


def test_jsonl_has_a_job_on_each_line(corvo: Any, server: Any) -> None:
    server.answer(LINE, page(job_text(1), job_text(2), total=9, cursor="c2"))
    result = corvo("search", "--limit", "2", "-o", "jsonl")
    assert result.stdout == f"{job_text(1)}\n{job_text(2)}\n"
    assert result.stderr == (
        "Showed 2 of 9 jobs that match. Show all with --all, or continue with --cursor c2\n"
    )


def test_ids_prints_only_ids(corvo: Any, server: Any) -> None:
    server.answer(LINE, page(job_text(1), job_text(2)))
    result = corvo("search", "--ids")
    assert (result.stdout, result.stderr) == ("job_1\njob_2\n", "")


@pytest.fixture
def three_pages(server: Any) -> Any:
    server.answer(LINE, page(job_text(1), job_text(2), total=5, cursor="c1"))
    server.answer(LINE, page(job_text(3), job_text(4), total=5, cursor="c2"))
    server.answer(LINE, page(job_text(5), total=5))
    return server


def test_all_reads_every_page(corvo: Any, three_pages: Any) -> None:
    result = corvo("search", "--all", "--ids")
    assert result.stdout == "".join(f"job_{n}\n" for n in range(1, 6))
    assert [(b["limit"], b.get("cursor")) for b in three_pages.bodies] == [
        (1000, None),
        (1000, "c1"),
        (1000, "c2"),
    ]


def test_all_pages_are_one_table(corvo: Any, three_pages: Any) -> None:
    lines = corvo("search", "--all").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["JOB", *(f"job_{n}" for n in range(1, 6))]


@pytest.mark.usefixtures("terminal")
def test_all_pages_are_one_table_on_a_terminal(corvo: Any, three_pages: Any) -> None:
    assert corvo("search", "--all").stdout.count("QUEUE") == 1


def test_all_pages_are_one_object_as_json(corvo: Any, three_pages: Any) -> None:
    text = corvo("search", "--all", "-o", "json").stdout
    document = json.loads(text)
    assert [job["id"] for job in document["jobs"]] == [f"job_{n}" for n in range(1, 6)]
    assert (document["total"], document["has_more"], document["cursor"]) == (5, False, None)
    assert text.count('{"n":1.10}') == 5


def test_empty_result_is_an_object_as_json(corvo: Any, server: Any) -> None:
    server.answer(LINE, page())
    assert json.loads(corvo("search", "--all", "-o", "json").stdout)["jobs"] == []


def test_large_limit_takes_several_pages(corvo: Any, server: Any) -> None:
    first = [job_text(n) for n in range(1000)]
    server.answer(LINE, page(*first, total=5000, cursor="c1"))
    server.answer(LINE, page(*first[:500], total=5000, total_is_exact=False, cursor="c2"))
    result = corvo("search", "--limit", "1500", "--cursor", "c0", "--ids")
    assert len(result.stdout.splitlines()) == 1500
    assert [(b["limit"], b["cursor"]) for b in server.bodies] == [(1000, "c0"), (500, "c1")]
    assert "Showed 1,500 of at least 5,000 jobs that match." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "No job matches.\n"), (("--ids",), ""), (("-o", "json"), ""), (("-o", "jsonl"), "")],
)
def test_empty_result_is_not_an_error(
    corvo: Any, server: Any, arguments: tuple[str, ...], message: str
) -> None:
    server.answer(LINE, page())
    result = corvo("search", *arguments)
    assert (result.exit_code, result.stderr) == (0, message)


def test_all_filters_are_sent(corvo: Any, server: Any) -> None:
    server.answer(LINE, page())
    server.refuse("GET /queues", 403, "FORBIDDEN")
    result = corvo(
        *("search", "--queue", "emails", "--state", "dead", "--state", "cancelled"),
        *("--priority", "high", "--tag", "tenant=acme", "--tag", "a=b=c"),
        *("--payload-contains", "100%", "--payload-jq", ".a == 1"),
        *("--created-after", "1h", "--created-before", "+1h30m"),
        *("--scheduled-after", "2026-01-01T00:00:00Z"),
        *("--scheduled-before", "2026-01-01T02:00:00+02:00"),
        *("--started-after", "-1d", "--started-before", "0s"),
        *("--completed-after", "1d", "--completed-before", "1m"),
        *("--failed-after", "60", "--failed-before", "2026-01-31"),
        *("--expire-after", "+1m", "--expire-before", "+2m"),
        *("--attempt-min", "1", "--attempt-max", "0", "--unique-key", "k", "--batch-id", "b"),
        *("--worker-id", "w", "--no-errors", "--error-contains", "e", "--job-id-prefix", "job_0"),
        *("--sort", "priority", "--order", "asc", "--limit", "7"),
    )
    assert result.exit_code == 0
    assert server.bodies[:1] == [
        {
            "queue": "emails",
            "state": ["dead", "cancelled"],
            "priority": "high",
            "tags": {"tenant": "acme", "a": "b=c"},
            "payload_contains": "100%",
            "payload_jq": ".a == 1",
            "created_after": "2026-01-31T07:00:00.000Z",
            "created_before": "2026-01-31T09:30:00.000Z",
            "scheduled_after": "2026-01-01T00:00:00.000Z",
            "scheduled_before": "2026-01-01T00:00:00.000Z",
            "started_after": "2026-01-30T08:00:00.000Z",
            "started_before": "2026-01-31T08:00:00.000Z",
            "completed_after": "2026-01-30T08:00:00.000Z",
            "completed_before": "2026-01-31T07:59:00.000Z",
            "failed_after": "2026-01-31T07:59:00.000Z",
            "failed_before": "2026-01-31T00:00:00.000Z",
            "expire_after": "2026-01-31T08:01:00.000Z",
            "expire_before": "2026-01-31T08:02:00.000Z",
            "attempt_min": 1,
            "attempt_max": 0,
            "unique_key": "k",
            "batch_id": "b",
            "worker_id": "w",
            "has_errors": False,
            "error_contains": "e",
            "error_scope": "last",
            "job_id_prefix": "job_0",
            "sort": "priority",
            "order": "asc",
            "limit": 7,
        }
    ]


@pytest.mark.parametrize("flag", [("--error-contains", "x"), ("--has-errors",), ("--no-errors",)])
def test_errors_of_earlier_attempts_are_searched_only_on_demand(
    corvo: Any, server: Any, flag: tuple[str, ...]
) -> None:
    server.answer(LINE, page())
    corvo("search", *flag)
    corvo("search", *flag, "--any-attempt")
    corvo("search", "--filter", '{"error_contains": "x", "error_scope": "any"}')
    assert [body["error_scope"] for body in server.bodies] == ["last", "any", "any"]


def test_since_is_the_time_of_creation(corvo: Any, server: Any) -> None:
    server.answer(LINE, page())
    corvo("search", "--since", "1h", "--state", "failed")
    assert server.bodies[0]["created_after"] == "2026-01-31T07:00:00.000Z"
    assert server.bodies[0]["state"] == ["dead"]


def test_misspelt_queue_is_said(corvo: Any, server: Any) -> None:
    server.answer(LINE, page())
    server.answer("GET /queues", [{"name": "emails"}, {"name": "reports"}])
    result = corvo("search", "--queue", "emial", "--ids")
    assert result.stderr == "There is no queue 'emial'. Did you mean emails?\n"
    assert corvo("search", "--queue", "emails").stderr == "No job matches.\n"


@pytest.mark.parametrize("form", [("--ids",), ("-o", "jsonl")])
def test_a_pipe_gets_all_jobs(corvo: Any, three_pages: Any, form: tuple[str, ...]) -> None:
    result = corvo("search", *form)
    assert (len(result.stdout.splitlines()), result.stderr) == (5, "")
    assert [body["limit"] for body in three_pages.bodies] == [1000] * 3


@pytest.mark.usefixtures("terminal")
def test_a_terminal_gets_the_first_jobs(corvo: Any, three_pages: Any) -> None:
    corvo("search", "--ids")
    assert three_pages.bodies[0]["limit"] == 50


def test_a_completed_job_does_not_show_its_old_error(corvo: Any, server: Any) -> None:
    error = {"attempt": 1, "error": "Boom", "created_at": "2026-01-31T07:00:00.000Z"}
    server.answer(LINE, page(job_text(1, state="completed", errors=[error])))
    assert "Boom" not in corvo("search").stdout


def test_filter_is_accepted_as_json(corvo: Any, server: Any, tmp_path: Path) -> None:
    server.answer(LINE, page())
    server.refuse("GET /queues", 403, "FORBIDDEN")
    path = tmp_path / "filter.json"
    path.write_text('{"queue": "emails"}', encoding="utf-8")
    corvo("search", "--filter", '{"queue": "emails", "state": "dead"}', "--has-errors")
    corvo("search", "--filter", f"@{path}")
    first, _, second, _ = server.bodies
    assert (first["queue"], first["state"], first["has_errors"]) == ("emails", ["dead"], True)
    assert second["queue"] == "emails"


def test_every_filter_of_the_api_has_an_option() -> None:
    from corvo_cli.filters import FILTERS
    from corvo_schema import SearchFilter

    assert set(SearchFilter.model_fields) == FILTERS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "5", "--all"], "Give either --limit or --all, not both."),
        (["--limit", "0"], "'0' is not a whole number of at least 1."),
        (["--state", "lost"], "'lost' is not one of"),
        (["--created-after", "yesterday"], "--created-after: 'yesterday' is not an RFC 3339"),
        (["--created-after", "5x"], "'5x' is not a duration"),
        (["--filter", "{"], "--filter is not valid JSON"),
        (["--filter", "[]"], "--filter must be a JSON object"),
        (["--filter", "@nowhere"], "Cannot read 'nowhere'"),
        (["--filter", '{"que": 1}'], "que: unknown name; did you mean queue"),
        (["--filter", '{"state": 5}'], "--state: Input should be a valid list"),
        (["--filter", '{"tags": [1]}'], "--tag: Input should be a valid dictionary"),
        (["--filter", '{"created_after": 5}'], "--created-after: "),
        (
            ["--filter", '{"queue": "a"}', "--queue", "b"],
            "Both --filter and an option set queue; set each field once.",
        ),
        (["--sort", "size"], "'size' is not one of"),
    ],
)
def test_invalid_argument_is_wrong_usage(
    corvo: Any, server: Any, arguments: list[str], message: str
) -> None:
    result = corvo("search", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not server.requests


def test_error_of_the_server_is_reported_by_its_option(corvo: Any, server: Any) -> None:
    details = [{"field": "payload_jq", "message": "at character 5: it ends here"}]
    server.refuse(LINE, 400, "VALIDATION_ERROR", details=details)
    result = corvo("search", "--payload-jq", ".a ==")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: The request is not valid:\n  --payload-jq: at character 5: it ends here\n",
    )
