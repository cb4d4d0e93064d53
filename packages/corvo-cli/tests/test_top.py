"""`corvo top`: its rates, its rows, and the application without a terminal."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from textual.widgets import DataTable, RichLog, Static, TabbedContent

from corvo_cli.show.output import Output
from corvo_cli.top.app import Top
from corvo_cli.top.question import Question
from corvo_cli.top.rows import event_line, queue_rows, summary, worker_rows
from corvo_cli.top.snapshots import SORTS, Snapshot, Snapshots
from corvo_client import NO_RETRIES, AsyncClient, ClusterStatus, JobEvent, QueueInfo, WorkerInfo

NOW = datetime(2026, 1, 31, 8, 0, 0, tzinfo=UTC)
CLUSTER = {
    "mode": "single",
    "status": "healthy",
    "nodes": [{"id": "node_1", "started_at": "2026-01-31T05:00:00.000Z"}],
}
EVENT = {
    "id": 1,
    "type": "dead",
    "job_id": "job_1",
    "queue": "emails",
    "created_at": "2026-01-31T08:00:00.250Z",
    "data": {"error": "Boom\x1b[2J"},
}


def snapshot(
    at: float, *queues: dict[str, Any], workers: tuple[dict[str, Any], ...] = ()
) -> Snapshot:
    return Snapshot(
        at,
        ClusterStatus.model_validate(CLUSTER),
        [QueueInfo.model_validate(queue) for queue in queues],
        [WorkerInfo.model_validate(worker) for worker in workers],
    )


def plain(lines: Any) -> list[list[str]]:
    return [[text.plain for text in cells] for _, cells in lines]


# Rates


def test_rates_are_computed_from_two_snapshots() -> None:
    snapshots = Snapshots()
    assert snapshots.rates("pending") == []
    snapshots.add(snapshot(10, {"name": "a", "enqueued": 100, "completed": 50, "failed": 1}))
    assert snapshots.rates("pending")[0].enqueued_per_s == 0
    after = {"name": "a", "enqueued": 120, "completed": 60, "dead": 2, "failed": 5}
    snapshots.add(snapshot(12, after, {"name": "new", "enqueued": 1_000}))
    [known, new] = snapshots.rates("pending")
    assert (known.enqueued_per_s, known.ended_per_s, known.failed_per_s) == (10, 6, 2)
    assert (new.enqueued_per_s, new.ended_per_s, new.failed_per_s) == (0, 0, 0)
    assert (snapshots.total().enqueued_per_s, snapshots.total().queue.completed) == (10, 60)


def test_rate_is_zero_when_jobs_were_removed() -> None:
    snapshots = Snapshots()
    snapshots.add(snapshot(10, {"name": "a", "completed": 50, "enqueued": 100}))
    snapshots.add(snapshot(12, {"name": "a", "completed": 10, "enqueued": 0}))
    assert (snapshots.total().ended_per_s, snapshots.total().enqueued_per_s) == (0, 0)


def test_queues_are_sorted_by_each_sort_order() -> None:
    snapshots = Snapshots()
    snapshots.add(
        snapshot(
            1,
            {"name": "b", "pending": 1, "active": 5, "dead": 1},
            {"name": "a", "pending": 1, "active": 1, "oldest_pending_ms": 5},
            {"name": "c", "pending": 9},
        )
    )
    order = {sort: [rates.queue.name for rates in snapshots.rates(sort)] for sort in SORTS}
    assert order["pending"] == ["c", "a", "b"]
    assert order["active"] == ["b", "a", "c"]
    assert order["dead"] == ["b", "a", "c"]
    assert order["oldest pending"] == ["a", "b", "c"]
    assert order["enqueued per second"] == order["ended per second"] == ["a", "b", "c"]


# Rows


def test_rows_and_summary_show_queues_and_workers() -> None:
    snapshots = Snapshots()
    queue = {"name": "a", "pending": 1_200, "paused": True, "oldest_pending_ms": 61_000}
    workers = (
        {"id": "w1", "active_jobs": 1, "queues": ["a", "b"]},
        {"id": "w2", "active_jobs": 7, "hostname": "h"},
    )
    snapshots.add(snapshot(1, queue, workers=workers))
    [line] = plain(queue_rows(snapshots.rates("pending")))
    assert line == [
        *("a", "paused", "1,200", "0", "0", "0", "0", "0.0", "0.0", "0.0", "1m1s", ""),
    ]
    assert snapshots.latest is not None
    names = [cells[0] for cells in plain(worker_rows(snapshots.latest.workers, NOW))]
    assert names == ["w2", "w1"]
    text = summary("http://x", snapshots, NOW, "by pending").plain
    assert text.startswith("http://x  healthy, up for 3h, 2 workers, 1 queue  by pending\n")
    assert "pending 1,200" in text


def test_summary_before_the_first_response() -> None:
    assert summary("http://x", Snapshots(), NOW, "NO ANSWER").plain == "http://x  NO ANSWER"


def test_summary_omits_the_uptime_if_it_is_unknown() -> None:
    snapshots = Snapshots()
    snapshots.add(Snapshot(1, ClusterStatus(mode="single", status="healthy"), [], []))
    assert "up for" not in summary("http://x", snapshots, NOW, "").plain


def test_control_characters_in_an_event_are_escaped() -> None:
    line = event_line(JobEvent.model_validate(EVENT))
    assert line.plain == "08:00:00 dead             emails job_1 error=Boom\\x1b[2J"


# The application


@pytest.fixture
async def client(server: Any) -> AsyncIterator[AsyncClient]:
    server.answer("GET /cluster/status", CLUSTER)
    server.answer("GET /workers", [{"id": "worker_1", "active_jobs": 2}])
    stream = b"id: 1\ndata: %b\n\n" % json.dumps(EVENT).encode()
    server.answer("GET /events", stream, content_type="text/event-stream")
    server.refuse("GET /events?last_event_id=1", 403, "FORBIDDEN", "Not for you.")
    async with AsyncClient(transport=httpx.MockTransport(server), retry=NO_RETRIES) as client:
        yield client


def make_app(client: AsyncClient) -> Top:
    return Top(client, 1000.0, lambda: NOW)


async def settled(pilot: Any) -> None:
    """Wait until all background work of the application is done."""
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def names_in(table: Any) -> list[str]:
    return [str(row.key.value) for row in table.ordered_rows]


async def test_app_shows_queues_workers_and_events(client: AsyncClient, server: Any) -> None:
    server.answer("GET /queues", [{"name": "emails", "pending": 3}, {"name": "b"}])
    async with make_app(client).run_test() as pilot:
        await settled(pilot)
        queues = pilot.app.query_one("#queue-table", DataTable)
        assert names_in(queues) == ["emails", "b"]
        assert names_in(pilot.app.query_one("#worker-table", DataTable)) == ["worker_1"]
        assert "pending 3" in str(pilot.app.query_one("#summary", Static).render())
        await pilot.press("3")
        await pilot.pause()
        assert pilot.app.query_one(TabbedContent).active == "events"
        log = [strip.text for strip in pilot.app.query_one("#event-log", RichLog).lines]
        assert "dead             emails job_1" in log[0]


async def test_cursor_follows_its_queue(client: AsyncClient, server: Any) -> None:
    server.answer("GET /queues", [{"name": "a", "pending": 3}, {"name": "b", "pending": 2}])
    server.answer("GET /queues", [{"name": "a", "pending": 3}, {"name": "b", "pending": 9}])
    server.answer("GET /queues", [{"name": "a", "pending": 4}, {"name": "b", "pending": 9}])
    server.answer("GET /queues", [{"name": "c", "pending": 4}])
    app = make_app(client)
    async with app.run_test() as pilot:
        await settled(pilot)
        table = app.query_one("#queue-table", DataTable)
        await app.poll()
        assert (names_in(table), table.cursor_row) == (["b", "a"], 1)
        await app.poll()
        assert (names_in(table), table.cursor_row) == (["b", "a"], 1)
        await app.poll()
        assert names_in(table) == ["c"]


async def test_key_changes_the_sort_order(client: AsyncClient, server: Any) -> None:
    server.answer("GET /queues", [{"name": "a", "pending": 3}, {"name": "b", "active": 2}])
    app = make_app(client)
    async with app.run_test() as pilot:
        await settled(pilot)
        await pilot.press("s")
        assert app.sort == "active"
        assert names_in(app.query_one("#queue-table", DataTable)) == ["b", "a"]
        for _ in SORTS:
            await pilot.press("s")
        assert app.sort == "active"


async def test_queue_under_the_cursor_is_paused_and_resumed(
    client: AsyncClient, server: Any
) -> None:
    server.answer("GET /queues", [{"name": "a"}])
    server.answer("GET /queues", [{"name": "a", "paused": True}])
    server.answer("POST /queues/a/pause", {"status": "paused"})
    server.answer("POST /queues/a/resume", {"status": "resumed"})
    async with make_app(client).run_test() as pilot:
        await settled(pilot)
        for answer in ("y", "n", "escape", "y"):
            await pilot.press("p")
            await settled(pilot)
            assert isinstance(pilot.app.screen, Question)
            await pilot.press(answer)
            await settled(pilot)
        actions = [line for line in server.lines if line.startswith("POST")]
        assert actions == ["POST /queues/a/pause", "POST /queues/a/resume"]


async def test_refused_pause_is_shown(client: AsyncClient, server: Any) -> None:
    server.answer("GET /queues", [{"name": "a"}])
    server.refuse("POST /queues/a/pause", 403, "FORBIDDEN", "Not [b]for[/b] you.")
    async with make_app(client).run_test() as pilot:
        await settled(pilot)
        await pilot.press("p", "y")
        await settled(pilot)
        (shown,) = pilot.app._notifications
        assert shown.message.startswith("Not [b]for[/b] you")


@pytest.mark.parametrize("key", ["enter", "4"])
async def test_jobs_of_the_queue_under_the_cursor_are_shown(
    client: AsyncClient, server: Any, key: str
) -> None:
    created = "2026-01-31T07:00:00.000Z"
    new = {"id": "job_2", "queue": "a", "state": "pending", "created_at": created}
    error = {"attempt": 1, "error": "Boom", "created_at": created}
    dead = {**new, "id": "job_1", "state": "dead", "attempt": 1, "errors": [error]}
    server.answer("GET /queues", [{"name": "a"}])
    server.answer("POST /jobs/search", {"jobs": [dead], "total": 1})
    server.answer("POST /jobs/search", {"jobs": [new, dead], "total": 2})
    async with make_app(client).run_test() as pilot:
        await settled(pilot)
        await pilot.press(key)
        await settled(pilot)
        assert pilot.app.query_one(TabbedContent).active == "jobs"
        table = pilot.app.query_one("#job-table", DataTable)
        assert names_in(table) == ["job_1", "job_2"]
        assert [str(cell) for cell in table.get_row("job_1")][1:] == [
            "dead",
            "1/3",
            "1h ago",
            "Boom",
        ]
        assert {body["queue"] for body in server.bodies if body} == {"a"}


async def test_pause_without_a_queue_does_nothing(client: AsyncClient, server: Any) -> None:
    server.answer("GET /queues", [])
    async with make_app(client).run_test() as pilot:
        await settled(pilot)
        await pilot.press("p")
        await settled(pilot)
        assert not [line for line in server.lines if line.startswith("POST")]


async def test_frozen_view_does_not_poll(client: AsyncClient, server: Any) -> None:
    server.answer("GET /queues", [{"name": "a"}])
    app = make_app(client)
    async with app.run_test() as pilot:
        await settled(pilot)
        await pilot.press("f")
        asked = len(server.requests)
        await app.poll()
        assert len(server.requests) == asked
        assert "FROZEN" in str(app.query_one("#summary", Static).render())
        await pilot.press("f")
        assert "FROZEN" not in str(app.query_one("#summary", Static).render())


async def test_frozen_view_shows_no_new_events(client: AsyncClient, server: Any) -> None:
    server.answer("GET /queues", [])
    app = make_app(client)
    app.is_frozen = True
    async with app.run_test() as pilot:
        await settled(pilot)
        await pilot.press("3")
        await pilot.pause()
        log = [strip.text for strip in app.query_one("#event-log", RichLog).lines]
        assert not any("job_1" in line for line in log)


async def test_view_recovers_when_the_server_answers_again(
    client: AsyncClient, server: Any
) -> None:
    server.fail("GET /queues", httpx.ConnectError("refused"))
    server.answer("GET /queues", [{"name": "a"}])
    app = make_app(client)
    async with app.run_test() as pilot:
        await settled(pilot)
        assert "NO ANSWER: cannot connect" in str(app.query_one("#summary", Static).render())
        await app.poll()
        assert "NO ANSWER" not in str(app.query_one("#summary", Static).render())
        await pilot.press("q")
    assert app.return_code == 0


# The command


@pytest.mark.parametrize("output", ["table", "json"])
def test_command_needs_a_terminal(corvo: Any, output: str) -> None:
    result = corvo("top", "-o", output)
    assert result.exit_code == 2
    assert "`corvo status --output json`" in result.stderr


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Output, "has_screen", property(lambda _self: True))


@pytest.mark.usefixtures("screen")
@pytest.mark.parametrize(("interval", "exit_code"), [("2s", 0), ("10ms", 2)])
def test_command_starts_the_app(
    corvo: Any, server: Any, monkeypatch: pytest.MonkeyPatch, interval: str, exit_code: int
) -> None:
    opened: list[Top] = []

    async def run_async(self: Top) -> None:
        opened.append(self)
        await asyncio.sleep(0)

    monkeypatch.setattr(Top, "run_async", run_async)
    server.answer("GET /info", {"server_version": "1", "api_version": "1"})
    result = corvo("top", "--interval", interval)
    assert result.exit_code == exit_code
    assert len(opened) == (exit_code == 0)


@pytest.mark.usefixtures("screen")
def test_command_fails_before_the_app_starts(corvo: Any, server: Any) -> None:
    server.refuse("GET /info", 401, "UNAUTHORIZED", "No key.")
    assert corvo("top").exit_code == 4
