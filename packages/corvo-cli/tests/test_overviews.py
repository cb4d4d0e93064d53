"""`corvo queues`, `workers`, `status`, `info`, `batch`."""

import json
from typing import Any

import pytest

QUEUES = [
    {
        "name": "emails",
        "paused": False,
        "max_concurrency": 1000,
        "max_per_key": 2,
        "rate_limit": 100,
        "rate_window_ms": 60_000,
        "created_at": "2026-01-30T08:00:00.000Z",
        "pending": 12_345,
        "active": 2,
        "dead": 1,
        "enqueued": 20_000,
        "failed": 7,
        "oldest_pending_ms": 252_000,
    },
    {"name": "reports", "paused": True, "rate_limit": 5, "rate_window_ms": 250},
    {"name": "old", "paused": True, "draining": True},
]
WORKERS = [
    {
        "id": "worker_1",
        "hostname": "host",
        "queues": ["emails", "reports"],
        "last_heartbeat": "2026-01-31T07:59:55.000Z",
        "last_fetch": "2026-01-31T07:59:58.000Z",
        "started_at": "2026-01-31T06:00:00.000Z",
        "active_jobs": 2,
        "status": "ok",
    },
    {"id": "worker_2", "active_jobs": 1, "status": "silent"},
]
INFO = {"server_version": "1.2.3", "api_version": "1"}
SINGLE = {
    "mode": "single",
    "status": "healthy",
    "nodes": [{"id": "node_1", "started_at": "2026-01-31T05:00:00.000Z"}],
}
CLUSTER = {
    "mode": "cluster",
    "status": "healthy",
    "nodes": [
        {
            "id": "node_1",
            "address": "a:1",
            "role": "leader",
            "version": "1.2.3",
            "waiting_fetches": 4,
            "backlog": 0,
            "operations_per_second": 120,
        },
        {"id": "node_2", "status": "silent"},
    ],
}


def test_queues_are_a_table(corvo: Any, server: Any) -> None:
    server.answer("GET /queues", QUEUES)
    lines = corvo("queues").stdout.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["QUEUE", "STATUS", "PENDING", "ACTIVE"],
        ["emails", "ok", "12,345", "2"],
        ["reports", "paused", "0", "0"],
        ["old", "draining", "0", "0"],
    ]
    assert lines[1].endswith("4m12s  1,000 active, 2 per key, 100 per 1m")
    assert lines[2].endswith("5 per 250ms")


def test_json_of_queues_is_unchanged(corvo: Any, server: Any) -> None:
    body = json.dumps(QUEUES, separators=(", ", ":")).encode()
    server.answer("GET /queues", body)
    assert corvo("queues", "-o", "json").stdout == body.decode() + "\n"
    lines = corvo("queues", "-o", "jsonl").stdout.splitlines()
    assert lines == [json.dumps(queue, separators=(", ", ":")) for queue in QUEUES]


@pytest.mark.parametrize(("output", "stdout"), [("table", ""), ("json", "[]\n"), ("jsonl", "")])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("queues", "There are no queues. The first job of a queue creates it.\n"),
        ("workers", "There are no workers. Start one with `corvo worker MODULE:WORKER`.\n"),
    ],
)
def test_empty_list_prints_only_a_message(
    corvo: Any, server: Any, arguments: str, message: str, output: str, stdout: str
) -> None:
    server.answer(f"GET /{arguments}", [])
    result = corvo(arguments, "-o", output)
    assert result.exit_code == 0
    assert result.stdout == stdout
    assert result.stderr == (message if output == "table" else "")


def test_one_queue_is_shown_with_all_details(corvo: Any, server: Any) -> None:
    server.answer("GET /queues/emails", QUEUES[0])
    assert corvo("queues", "emails").stdout == (
        "queue:           emails\n"
        "status:          ok\n"
        "pending:         12,345\n"
        "active:          2\n"
        "scheduled:       0\n"
        "retrying:        0\n"
        "completed:       0\n"
        "dead:            1\n"
        "cancelled:       0\n"
        "oldest pending:  4m12s\n"
        "limits:          1,000 active, 2 per key, 100 per 1m\n"
        "enqueued:        20,000 in all\n"
        "failed:          7 attempts in all\n"
        "created:         2026-01-30 08:00:00.000Z (1d ago)\n"
    )
    assert json.loads(corvo("queues", "emails", "-o", "jsonl").stdout) == QUEUES[0]


def test_missing_queue_exits_with_3(corvo: Any, server: Any) -> None:
    server.refuse("GET /queues/emials", 404, "NOT_FOUND", "There is no queue emials.")
    assert corvo("queues", "emials").exit_code == 3


@pytest.mark.usefixtures("terminal")
def test_table_on_a_terminal_has_colours(corvo: Any, server: Any) -> None:
    server.answer("GET /queues", QUEUES)
    assert "12,345" in corvo("queues").stdout


def test_workers_are_a_table(corvo: Any, server: Any) -> None:
    server.answer("GET /workers", WORKERS)
    assert corvo("workers").stdout == (
        "WORKER    HOST  STATUS  ACTIVE  LAST HEARTBEAT  LAST FETCH  STARTED  QUEUES\n"
        "worker_1  host  ok           2  5s ago          2s ago      2h ago   emails, reports\n"
        "worker_2        silent       1\n"
    )
    lines = corvo("workers", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == WORKERS


@pytest.fixture
def well(server: Any) -> None:
    server.answer("GET /info", INFO)
    server.answer("GET /cluster/status", SINGLE)
    server.answer("GET /queues", QUEUES)
    server.answer("GET /workers", WORKERS)


@pytest.mark.usefixtures("well")
def test_status_is_a_summary(corvo: Any) -> None:
    assert corvo("status").stdout == (
        "server:          http://localhost:8080\n"
        "version:         1.2.3 (API 1)\n"
        "status:          healthy\n"
        "uptime:          3h\n"
        "queues:          3 (2 paused)\n"
        "pending:         12,345\n"
        "active:          2\n"
        "scheduled:       0\n"
        "retrying:        0\n"
        "completed:       0\n"
        "dead:            1\n"
        "cancelled:       0\n"
        "oldest pending:  4m12s in emails\n"
        "workers:         2 with 3 active jobs (1 not ok, see `corvo workers`)\n"
    )


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_status_as_json_has_all_replies(corvo: Any, output: str) -> None:
    document = json.loads(corvo("status", "-o", output).stdout)
    assert document == {"info": INFO, "cluster": SINGLE, "queues": QUEUES, "workers": WORKERS}


def test_status_of_a_cluster_lists_the_nodes(corvo: Any, server: Any) -> None:
    server.answer("GET /info", INFO)
    server.answer("GET /cluster/status", CLUSTER)
    server.answer("GET /queues", [])
    server.answer("GET /workers", [])
    text = corvo("status").stdout
    assert text.endswith(
        "workers:    0\n"
        "\n"
        "nodes:\n"
        "  NODE    ADDRESS  ROLE    STATUS   CALLS/S  WAITING  BACKLOG  SEEN  STARTED  VERSION\n"
        "  node_1  a:1      leader  healthy      120        4        0                 1.2.3\n"
        "  node_2                   silent\n"
    )
    assert "up for" not in text


def test_cluster_is_a_table_of_nodes(corvo: Any, server: Any) -> None:
    server.answer("GET /cluster/status", CLUSTER)
    lines = corvo("cluster").stdout.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["NODE", "ADDRESS", "ROLE", "STATUS"],
        ["node_1", "a:1", "leader", "healthy"],
        ["node_2", "silent"],
    ]
    assert json.loads(corvo("cluster", "-o", "json").stdout) == CLUSTER


def test_status_of_an_unavailable_server_exits_with_6(corvo: Any, server: Any) -> None:
    server.answer("GET /info", INFO)
    server.refuse("GET /cluster/status", 503, "UNAVAILABLE", "The disk is full.")
    result = corvo("status")
    assert (result.exit_code, result.stderr) == (6, "Error: The disk is full.\n")


def test_info_shows_the_version(corvo: Any, server: Any) -> None:
    server.answer("GET /info", INFO)
    assert corvo("info").stdout == (
        "server:   http://localhost:8080\nversion:  1.2.3\napi:      1\n"
    )
    assert json.loads(corvo("info", "-o", "json").stdout) == INFO


BATCH = {
    "id": "batch_1",
    "state": "finished",
    "total": 4,
    "pending": 0,
    "succeeded": 3,
    "failed": 1,
    "callback_queue": "done",
    "callback_job_id": "job_1",
    "created_at": "2026-01-31T07:00:00.000Z",
    "finished_at": "2026-01-31T07:30:00.000Z",
}


def test_batch_is_shown_with_its_callback_job(corvo: Any, server: Any) -> None:
    server.answer("GET /batches/batch_1", BATCH)
    assert corvo("batch", "batch_1").stdout == (
        "id:         batch_1\n"
        "state:      finished\n"
        "ended:      100% of 4\n"
        "succeeded:  3\n"
        "failed:     1\n"
        "cancelled:  0\n"
        "pending:    0\n"
        "callback:   job_1 in done\n"
        "created:    2026-01-31 07:00:00.000Z (1h ago)\n"
        "finished:   2026-01-31 07:30:00.000Z (30m ago)\n"
    )
    assert json.loads(corvo("batch", "batch_1", "-o", "json").stdout) == BATCH


def test_running_batch_has_no_callback_job(corvo: Any, server: Any) -> None:
    running = {**BATCH, "state": "running", "pending": 1, "callback_job_id": None}
    server.answer("GET /batches/batch_1", running)
    lines = corvo("batch", "batch_1").stdout.splitlines()
    assert "ended:      75% of 4" in lines
    assert "callback:   in done" in lines


def test_batch_without_jobs_or_callback(corvo: Any, server: Any) -> None:
    server.answer("GET /batches/batch_1", {"id": "batch_1", "state": "running", "total": 0})
    text = corvo("batch", "batch_1").stdout
    assert "ended:      0\n" in text
    assert "callback" not in text


def test_batches_are_listed_with_a_cursor(corvo: Any, server: Any) -> None:
    page = {"batches": [BATCH], "cursor": "batch_1", "has_more": True}
    server.answer("GET /batches?state=running&limit=1", page)
    result = corvo("batches", "--state", "running", "--limit", "1")
    title, line = result.stdout.splitlines()
    assert title.split()[:4] == ["BATCH", "STATE", "JOBS", "PENDING"]
    assert line.split()[0] == "batch_1"
    assert "Continue with --cursor batch_1" in result.stderr
    server.answer("GET /batches?limit=50", page)
    result = corvo("batches", "-o", "jsonl")
    assert [json.loads(text) for text in result.stdout.splitlines()] == [BATCH]


def test_empty_list_of_batches_prints_a_message(corvo: Any, server: Any) -> None:
    server.answer("GET /batches?limit=50", {"batches": [], "cursor": None, "has_more": False})
    result = corvo("batches")
    assert (result.stdout, result.stderr) == ("", "There are no batches.\n")


ENTRY = {
    "id": 7,
    "at": "2026-01-31T08:00:00.000Z",
    "operation": "change_priority",
    "by": "alice",
    "target": "job_1",
    "queue": "emails",
    "before": {"state": "pending", "priority": "normal"},
    "after": {"state": "pending", "priority": "high"},
    "outcome": "done",
}


def test_audit_shows_who_changed_what(corvo: Any, server: Any) -> None:
    page = {"entries": [ENTRY], "cursor": "7", "has_more": True}
    server.answer("GET /audit?by=alice&queue=emails&limit=1", page)
    result = corvo("audit", "--by", "alice", "--queue", "emails", "--limit", "1")
    title, line = result.stdout.splitlines()
    assert title.split() == ["WHEN", "BY", "OPERATION", "TARGET", "OUTCOME", "CHANGE"]
    assert "alice" in line
    assert "priority: normal > high" in line
    assert "Continue with --cursor 7" in result.stderr
    server.answer("GET /audit?limit=50", page)
    result = corvo("audit", "-o", "jsonl")
    assert [json.loads(text) for text in result.stdout.splitlines()] == [ENTRY]


def test_empty_audit_prints_a_message(corvo: Any, server: Any) -> None:
    server.answer("GET /audit?limit=50", {"entries": [], "cursor": None, "has_more": False})
    result = corvo("audit")
    assert (result.stdout, result.stderr) == ("", "There are no such entries.\n")
