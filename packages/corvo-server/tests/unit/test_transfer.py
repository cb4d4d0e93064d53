"""Transfers between databases: completeness, interruption and refusals."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from corvo_schema import ApiKeyRequest, BulkRequest, JobOptions, ScheduleRequest, WebhookRequest
from corvo_schema.states import JobState
from corvo_server.cli import server
from corvo_server.store.nodes import NodeReport
from corvo_server.store.postgres.transfer import PostgresTarget
from corvo_server.store.sqlite.store import SqliteStore
from corvo_server.store.sqlite.transfer import SqliteSide, SqliteTarget
from corvo_server.store.transfer import (
    TABLES,
    HalfTransferredError,
    Table,
    Transfer,
    TransferError,
)
from server_support.bench import Bench, make_job
from server_support.clock import ManualClock
from server_support.kits import PostgresKit, SqliteKit
from server_support.postgres import execute


class Interrupted(Exception):
    pass


@pytest.fixture
def kit(tmp_path: Path) -> SqliteKit:
    return SqliteKit(tmp_path / "source")


@pytest.fixture
async def source(bench: Bench, kit: SqliteKit) -> Path:
    """A data directory with rows in every table, and no running server."""
    await fill(bench)
    await bench.store.close()
    bench.check_counters = _nothing  # type: ignore[method-assign]
    return kit.data_dir


async def _nothing() -> None:
    return


async def fill(bench: Bench) -> None:
    """Store jobs in every state, and rows in all other tables."""
    engine = bench.engine
    for state in JobState:
        await bench.bring_to(state, queue="mail", tags={"state": state.value}, payload={"ü": 1})
    for number in range(30):
        await bench.enqueue("many", payload=number, priority=number % 3, unique_key=f"k{number}")
    await bench.enqueue_batch(make_job("b"), make_job("b"), callback="done", callback_payload=[1])
    await bench.ack(await bench.fetch_one("b"), result={"a": None})
    active = await bench.start(queue="active", checkpoint=None)
    await bench.heartbeat(active, progress={"at": 1}, checkpoint={"page": 2})
    await engine.queues.pause("paused")
    await engine.queues.limit("many", 3)
    await engine.queues.throttle("throttled", 2, 60_000)
    await bench.start(queue="throttled", concurrency_key="k")
    schedule = {"name": "s", "queue": "mail", "cron": "* * * * *", "tags": {"x": "y"}}
    await engine.schedules.put(ScheduleRequest.model_validate(schedule), b'{"p":1}')
    defaults = JobOptions.model_validate({"max_retries": 9, "tags": {"a": "b"}})
    await engine.queues.set_defaults("kept", defaults, b'{"type":"object"}')
    key = {"name": "k", "roles": ["worker"], "queues": ["a.*"], "expires_after": "1d"}
    await engine.keys.create(ApiKeyRequest.model_validate(key), may_lock_out=True)
    hook = {"name": "h", "url": "https://receiver.example/", "queues": ["a.*"]}
    await engine.webhooks.create(WebhookRequest.model_validate(hook))
    bulk = {"action": "cancel", "filter": {"queue": "many"}, "async": True}
    await engine.bulk.run(BulkRequest.model_validate(bulk))
    bench.clock.forward(61_000)
    await bench.tick()
    await engine.jobs.delete(await bench.enqueue("deleted"))


def everything(data_dir: Path) -> dict[str, list[Any]]:
    side = SqliteSide(data_dir)
    with closing(side):
        return {table.name: side.read(table, None, 10_000) for table in TABLES}


def move(source: Path, target: Path, chunk: int = 7, stop_after: int | None = None) -> list[str]:
    """Transfer all, or raise `Interrupted` after `stop_after` steps; return the steps done."""
    steps: list[str] = []

    def note(step: str, _: int) -> None:
        if stop_after is not None and len(steps) == stop_after:
            raise Interrupted
        steps.append(step)

    with closing(SqliteSide(source)) as one, closing(SqliteTarget(target)) as other:
        Transfer(one, other, note, chunk).run()
    return steps


async def test_a_transfer_copies_every_row(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    move(source, target)
    with closing(SqliteSide(source)) as side:
        newest = side.newest_seq()
    before = everything(source)
    assert newest > max(row[0] for row in before["jobs"]), "the last job was deleted"
    assert everything(target) == before
    assert all(before.values()), "each table had something to move"
    kit = SqliteKit(target)
    assert kit.find_problems() == []
    bench = Bench(kit, kit.open(), ManualClock())
    assert len(await bench.fetch_ids("many")) == 3  # its limit
    assert (await bench.head(await bench.enqueue("new"))).seq > newest
    await bench.check_counters()
    await bench.store.close()


async def test_an_interrupted_transfer_continues(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    whole = move(source, tmp_path / "other")
    last = whole.index("compare jobs")
    for stop in (2, last // 2, last):
        with pytest.raises(Interrupted):
            move(source, target, stop_after=stop)
        with pytest.raises(HalfTransferredError, match="transfer again"):
            SqliteStore(target)
    steps = move(source, target)
    assert everything(target) == everything(source)
    assert steps.count("jobs") < whole.count("jobs") > 3


def test_a_target_with_data_is_refused_and_not_changed(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    move(source, target)
    before = everything(target)
    with pytest.raises(TransferError, match="There is data in"):
        move(source, target)
    assert everything(target) == before


async def test_a_source_that_changed_since_is_refused(
    source: Path, tmp_path: Path, kit: SqliteKit
) -> None:
    target = tmp_path / "target"
    with pytest.raises(Interrupted):
        move(source, target, stop_after=6)
    bench = Bench(kit, kit.open(), ManualClock())
    await bench.enqueue("new")
    await bench.store.close()
    with pytest.raises(TransferError, match="another source or has changed"):
        move(source, target)


@pytest.mark.parametrize("table", [table for table in TABLES if table.name != "queues"])
def test_a_missing_row_is_detected(source: Path, tmp_path: Path, table: Table) -> None:
    class Careless(SqliteTarget):
        def write(self, into: Table, rows: Any, progress: Any) -> None:
            if into == table:
                rows = rows[:-1]
            super().write(into, rows, progress)

    with (
        closing(SqliteSide(source)) as one,
        closing(Careless(tmp_path / "target")) as other,
        pytest.raises((TransferError, sqlite3.IntegrityError), match=f"{table.name}|FOREIGN"),
    ):
        Transfer(one, other).run()
    with pytest.raises(HalfTransferredError):
        SqliteStore(tmp_path / "target")


async def test_a_source_in_use_by_a_server_is_refused(bench: Bench, kit: SqliteKit) -> None:
    result = transfer(kit.data_dir, kit.data_dir.with_name("target"))
    assert result.exit_code == 1
    assert "Another corvo-server is using" in result.output


def transfer(source: Path | str, target: Path | str) -> Result:
    urls = [side if isinstance(side, str) else f"sqlite:///{side}" for side in (source, target)]
    return CliRunner().invoke(server, ["transfer", "--from", urls[0], "--to", urls[1]])


async def test_the_command_reports_the_rows_that_it_copied(source: Path, tmp_path: Path) -> None:
    result = transfer(source, tmp_path / "target")
    assert result.exit_code == 0, result.output
    assert "transferred to " in result.output
    assert "1 schedules" in result.output
    assert transfer(source, tmp_path / "target").exit_code == 1
    result = transfer(tmp_path / "nowhere", tmp_path / "new")
    assert "There is no Corvo database in" in result.output


# PostgreSQL


@pytest.fixture
def moved(source: Path, empty_postgres_url: str) -> str:
    """A PostgreSQL database to which the source was transferred."""
    result = transfer(source, empty_postgres_url)
    assert result.exit_code == 0, result.output
    return empty_postgres_url


async def test_a_transfer_to_postgresql_and_back_changes_nothing(
    source: Path, moved: str, tmp_path: Path
) -> None:
    before = everything(source)
    kit = PostgresKit(moved)
    assert kit.find_problems() == []
    back = tmp_path / "back"
    result = transfer(moved, back)
    assert result.exit_code == 0, result.output
    assert everything(back) == before
    assert SqliteKit(back).find_problems() == []


async def test_servers_continue_on_the_target(source: Path, moved: str) -> None:
    kit = PostgresKit(moved)
    bench = Bench(kit, kit.open(), ManualClock())
    with closing(SqliteSide(source)) as side:
        newest = side.newest_seq()
    assert len(await bench.fetch_ids("many")) == 3
    assert (await bench.head(await bench.enqueue("new"))).seq > newest
    await bench.check_counters()
    await bench.store.close()
    assert kit.find_problems() == []


async def test_a_half_transferred_database_is_refused_until_the_transfer_is_finished(
    source: Path, empty_postgres_url: str
) -> None:
    with (
        closing(SqliteSide(source)) as one,
        closing(PostgresTarget(empty_postgres_url, "corvo")) as other,
        pytest.raises(Interrupted),
    ):
        Transfer(one, other, _stop_at("events"), 7).run()
    with pytest.raises(HalfTransferredError, match="transfer again"):
        PostgresKit(empty_postgres_url).open()
    assert transfer(source, empty_postgres_url).exit_code == 0
    assert "There is data in" in transfer(source, empty_postgres_url).output


async def test_a_database_with_running_servers_is_refused(
    source: Path, moved: str, tmp_path: Path
) -> None:
    store = PostgresKit(moved).open()
    await store.beat(NodeReport("a", "1", None, 0), 4_000)
    for result in (transfer(moved, tmp_path / "new"), transfer(source, moved)):
        assert result.exit_code == 1
        assert "1 servers are running on" in result.output
    await store.close()


async def test_times_out_of_order_are_put_in_order(
    source: Path, moved: str, tmp_path: Path
) -> None:
    kit = PostgresKit(moved)
    execute(moved, "UPDATE corvo.jobs SET created_at = created_at - 5 WHERE seq % 3 = 0")
    assert kit.find_problems() == []
    assert transfer(moved, tmp_path / "back").exit_code == 0
    assert SqliteKit(tmp_path / "back").find_problems() == []


def _stop_at(step: str) -> Callable[[str, int], None]:
    def note(current: str, _: int) -> None:
        if current == step:
            raise Interrupted

    return note


def test_the_command_never_prints_an_invalid_url() -> None:
    result = CliRunner().invoke(server, ["transfer", "--from", "mysql://u:s3cret@h", "--to", "x"])
    assert result.exit_code == 2
    assert "s3cret" not in result.output
