"""An installation moves from one store into another, whole, in steps, or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from corvo_schema import BulkRequest, ScheduleRequest
from corvo_schema.states import JobState
from corvo_server.cli import server
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
from server_support.kits import SqliteKit


class Interrupted(Exception):
    pass


@pytest.fixture
def kit(tmp_path: Path) -> SqliteKit:
    return SqliteKit(tmp_path / "source")


@pytest.fixture
async def source(bench: Bench, kit: SqliteKit) -> Path:
    """A data directory with a bit of everything, and no server."""
    await fill(bench)
    await bench.store.close()
    bench.check_counters = _nothing  # type: ignore[method-assign]
    return kit.data_dir


async def _nothing() -> None:
    return


async def fill(bench: Bench) -> None:
    """Jobs in every state and from every origin, and all else that a store keeps."""
    engine = bench.engine
    for state in JobState:
        await bench.bring_to(state, queue="mail", tags={"state": state.value}, payload={"ü": 1})
    for number in range(30):
        await bench.enqueue("many", payload=number, priority=number % 3, unique_key=f"k{number}")
    await bench.enqueue_batch(make_job("b"), make_job("b"), callback="done", callback_payload=[1])
    await bench.ack(await bench.fetch_one("b"), result={"a": None})
    held = await bench.start(queue="held", checkpoint=None)
    await bench.heartbeat(held, progress={"at": 1}, checkpoint={"page": 2})
    await engine.queues.pause("paused")
    await engine.queues.limit("many", 3)
    await engine.queues.throttle("throttled", 2, 60_000)
    await bench.start(queue="throttled", concurrency_key="k")
    schedule = {"name": "s", "queue": "mail", "cron": "* * * * *", "tags": {"x": "y"}}
    await engine.schedules.put(ScheduleRequest.model_validate(schedule), b'{"p":1}')
    bulk = {"action": "cancel", "filter": {"queue": "many"}, "async": True}
    await engine.bulk.run(BulkRequest.model_validate(bulk))
    bench.clock.forward(61_000)
    await bench.tick()


def everything(data_dir: Path) -> dict[str, list[Any]]:
    side = SqliteSide(data_dir)
    with closing(side):
        return {table.name: side.read(table, None, 10_000) for table in TABLES}


def move(source: Path, target: Path, chunk: int = 7, stop_after: int | None = None) -> list[str]:
    """Move all; or stop within the chunk of that number. The steps that were told."""
    steps: list[str] = []

    def note(step: str, _: int) -> None:
        if stop_after is not None and len(steps) == stop_after:
            raise Interrupted
        steps.append(step)

    with closing(SqliteSide(source)) as one, closing(SqliteTarget(target)) as other:
        Transfer(one, other, note, chunk).run()
    return steps


async def test_everything_arrives_as_it_was(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    move(source, target)
    before = everything(source)
    assert everything(target) == before
    assert all(before.values()), "each table had something to move"
    kit = SqliteKit(target)
    assert kit.find_problems() == []
    bench = Bench(kit, kit.open(), ManualClock())
    assert len(await bench.fetch_ids("many")) == 3  # its limit
    await bench.check_counters()
    await bench.store.close()


async def test_what_was_interrupted_goes_on_where_it_was(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    whole = move(source, tmp_path / "other")
    last = whole.index("compare jobs")
    for stop in (2, last // 2, last):
        with pytest.raises(Interrupted):
            move(source, target, stop_after=stop)
        with pytest.raises(HalfTransferredError, match="migrate again"):
            SqliteStore(target)
    steps = move(source, target)
    assert everything(target) == everything(source)
    assert steps.count("jobs") < whole.count("jobs") > 3


def test_a_target_with_data_is_refused_and_left_alone(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    move(source, target)
    before = everything(target)
    with pytest.raises(TransferError, match="There is data in"):
        move(source, target)
    assert everything(target) == before


async def test_a_source_that_changed_meanwhile_is_noticed(
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
def test_a_row_that_arrives_otherwise_is_noticed(
    source: Path, tmp_path: Path, table: Table
) -> None:
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


async def test_a_source_that_a_server_works_on_is_refused(bench: Bench, kit: SqliteKit) -> None:
    result = migrate(kit.data_dir, kit.data_dir.with_name("target"))
    assert result.exit_code == 1
    assert "Another corvo-server is using" in result.output


def migrate(source: Path, target: Path) -> Result:
    arguments = ["migrate", "--from", f"sqlite:///{source}", "--to", f"sqlite:///{target}"]
    return CliRunner().invoke(server, arguments)


async def test_the_command_says_what_it_moved(source: Path, tmp_path: Path) -> None:
    result = migrate(source, tmp_path / "target")
    assert result.exit_code == 0, result.output
    assert "has it all: " in result.output
    assert "1 schedules" in result.output
    assert migrate(source, tmp_path / "target").exit_code == 1
    result = migrate(tmp_path / "nowhere", tmp_path / "new")
    assert "There is no Corvo database in" in result.output


def test_the_command_never_repeats_a_url_that_is_none() -> None:
    result = CliRunner().invoke(server, ["migrate", "--from", "mysql://u:s3cret@h", "--to", "x"])
    assert result.exit_code == 2
    assert "s3cret" not in result.output
