"""`corvo inspect`."""

import json
from typing import Any

import pytest

JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
FULL = (
    '{"id":"' + JOB_ID + '","queue":"emails","state":"retrying","payload":{"z":1.10,'
    '"a":123456789012345678901234567890,"esc":"\\u001b"},"priority":"high","priority_value":1,'
    '"attempt":2,"max_retries":3,"retry_backoff":"linear","retry_base_delay_ms":1000,'
    '"retry_max_delay_ms":60000,"unique_key":"k","concurrency_key":"acme","batch_id":"batch_1",'
    '"worker_id":"worker_1","hostname":"host","tags":{"tenant":"acme","region":"eu"},'
    '"progress":{"current":3,"total":10,"message":"resizing"},"checkpoint":{"page":3},'
    '"result":null,"cancel_requested":true,"lease_expires_at":"2026-01-31T08:01:00.000Z",'
    '"scheduled_at":"2026-01-31T08:00:30.000Z","expire_at":"2026-02-01T08:00:00.000Z",'
    '"created_at":"2026-01-31T07:00:00.250Z","started_at":"2026-01-31T07:59:00.000Z",'
    '"completed_at":null,"failed_at":null,"errors":[{"attempt":1,"error":"Boom\\nagain",'
    '"backtrace":"File \\"x\\"\\n  line","created_at":"2026-01-31T07:30:00.000Z"}],'
    '"timeline":[{"id":1,"type":"enqueued","job_id":"' + JOB_ID + '","queue":"emails",'
    '"created_at":"2026-01-31T07:00:00.250Z","data":{}},{"id":2,"type":"progress","job_id":"'
    + JOB_ID
    + '","queue":"emails","created_at":"2026-01-31T07:59:30.000Z",'
    '"data":{"attempt":2,"progress":{"current":1},"reason":null}}]}'
)
VIEW = """\
id:               job_01ARZ3NDEKTSV4RRFFQ69G5FAV
queue:            emails
state:            retrying (cancelling)
priority:         high
attempt:          2 of 3, backoff linear from 1s to 1m
progress:         3/10 (30%) resizing
unique key:       k
concurrency key:  acme
batch:            batch_1
tags:             tenant=acme region=eu
worker:           worker_1 on host
lease ends:       in 1m
created:          2026-01-31 07:00:00.250Z (59m59s ago)
scheduled:        2026-01-31 08:00:30.000Z (in 30s)
started:          2026-01-31 07:59:00.000Z (1m ago)
expires:          2026-02-01 08:00:00.000Z (in 1d)

payload:
  {
    "z": 1.10,
    "a": 123456789012345678901234567890,
    "esc": "\\u001b"
  }

checkpoint:
  {
    "page": 3
  }

attempt 1 failed 30m ago:
  Boom
  again
  File "x"
    line

timeline:
  AT                                     EVENT     DETAILS
  2026-01-31 07:00:00.250Z (59m59s ago)  enqueued
  2026-01-31 07:59:30.000Z (30s ago)     progress  attempt=2 progress={"current": 1}
"""


def test_inspect_shows_all_details(corvo: Any, server: Any) -> None:
    server.answer(f"GET /jobs/{JOB_ID}", FULL.encode())
    result = corvo("inspect", JOB_ID)
    assert result.exit_code == 0
    assert result.stdout == VIEW
    assert result.stderr == ""


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_json_is_unchanged(corvo: Any, server: Any, output: str) -> None:
    server.answer(f"GET /jobs/{JOB_ID}", FULL.encode())
    assert corvo("inspect", JOB_ID, "-o", output).stdout == FULL + "\n"


def test_jsonl_puts_a_payload_with_line_breaks_on_one_line(
    corvo: Any, server: Any, job: Any
) -> None:
    job["payload"] = "HERE"
    body = json.dumps(job).replace('"HERE"', '{\n  "a": "x\\ny"\r\n}')
    server.answer(f"GET /jobs/{JOB_ID}", body.encode())
    assert corvo("inspect", JOB_ID, "-o", "json").stdout == body.replace("\r\n", "\n") + "\n"
    lines = corvo("inspect", JOB_ID, "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [json.loads(body)]


def test_view_omits_empty_fields(corvo: Any, server: Any, job: Any) -> None:
    job |= {"retry_backoff": "none", "max_retries": 0, "payload": None, "priority": "unheard-of"}
    server.answer(f"GET /jobs/{JOB_ID}", job)
    assert corvo("inspect", JOB_ID).stdout.splitlines() == [
        f"id:        {JOB_ID}",
        "queue:     emails",
        "state:     pending",
        "priority:  unheard-of",
        "attempt:   0 of 1, backoff none",
        "created:   2026-01-31 07:58:30.250Z (1m29s ago)",
        "",
        "payload:",
        "  null",
    ]


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        ({"current": 3}, "3"),
        ({"current": 0.5, "total": 2}, "0.5/2 (25%)"),
        ({"current": 1, "total": 0}, "1/0"),
        ({"message": "starting"}, "starting"),
        ({"total": 3}, ""),
    ],
)
def test_progress_is_formatted(corvo: Any, server: Any, job: Any, progress: Any, text: str) -> None:
    server.answer(f"GET /jobs/{JOB_ID}", {**job, "progress": progress})
    lines = corvo("inspect", JOB_ID).stdout.splitlines()
    found = [line.removeprefix("progress:").strip() for line in lines if "progress:" in line]
    assert found == ([text] if text else [])


@pytest.mark.usefixtures("terminal")
def test_view_is_styled_on_a_terminal(corvo: Any, server: Any) -> None:
    server.answer(f"GET /jobs/{JOB_ID}", FULL.encode())
    text = corvo("inspect", JOB_ID).stdout
    assert "retrying (cancelling)" in text
    assert '"a": 123456789012345678901234567890' in text


def test_slash_in_an_id_is_escaped(corvo: Any, server: Any) -> None:
    server.refuse("GET /jobs/a%2F..%2Fb", 404, "NOT_FOUND")
    assert corvo("inspect", "a/../b").exit_code == 3


def test_empty_id_is_wrong_usage(corvo: Any) -> None:
    result = corvo("inspect", "")
    assert result.exit_code == 2
