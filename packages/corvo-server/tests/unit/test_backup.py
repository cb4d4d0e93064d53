"""Backup, restore, check and vacuum of a SQLite database."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from corvo_server.cli import server
from corvo_server.store.sqlite import backup
from corvo_server.store.sqlite.database import DATABASE_NAME, DataDirLockedError
from corvo_server.store.sqlite.reserve import RESERVE_NAME
from corvo_server.store.sqlite.space import Disk, Space
from corvo_server.store.sqlite.store import SqliteStore
from server_support.bench import Bench, make_job
from server_support.kits import SqliteKit


@pytest.fixture
def kit(tmp_path: Path) -> SqliteKit:
    """The commands exist for SQLite only."""
    return SqliteKit(tmp_path / "data")


@pytest.fixture
def data_dir(kit: SqliteKit) -> Path:
    """The data directory of the store of `bench`, which is open."""
    return kit.data_dir


async def test_backup_of_a_running_server_is_restored_elsewhere(
    bench: Bench, data_dir: Path, tmp_path: Path
) -> None:
    job = await bench.enqueue()
    copy = tmp_path / "copy.db"
    assert backup.back_up(data_dir, copy) == copy.stat().st_size
    await bench.enqueue()
    other = tmp_path / "other"
    backup.restore(copy, other, may_replace=False)
    assert backup.check(other) == []
    store = SqliteStore(other)
    assert [record.head.id for record in await store.find_jobs([job])] == [job]
    assert (await store.list_queues())[0].pending == 1
    await store.close()


async def test_backup_does_not_overwrite(bench: Bench, data_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("precious")
    with pytest.raises(backup.BackupError, match="exists already"):
        backup.back_up(data_dir, copy)
    assert copy.read_text() == "precious"


async def test_restore_is_refused_while_a_server_runs(
    bench: Bench, data_dir: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    backup.back_up(data_dir, copy)
    with pytest.raises(DataDirLockedError):
        backup.restore(copy, data_dir, may_replace=True)


async def test_restore_replaces_a_database_only_with_force(
    bench: Bench, data_dir: Path, tmp_path: Path
) -> None:
    await bench.enqueue()
    copy = tmp_path / "copy.db"
    backup.back_up(data_dir, copy)
    await bench.enqueue()
    await bench.store.close()
    with pytest.raises(backup.BackupError, match="--force"):
        backup.restore(copy, data_dir, may_replace=False)
    backup.restore(copy, data_dir, may_replace=True)
    store = SqliteStore(data_dir)
    assert (await store.list_queues())[0].pending == 1
    await store.close()
    bench._use(SqliteStore(data_dir))


@pytest.mark.parametrize("content", [b"", b"not a database, whatever its name says" * 100])
def test_restore_refuses_a_file_that_is_not_a_backup(content: bytes, tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    source.write_bytes(content)
    with pytest.raises(backup.BackupError, match="not a backup of Corvo"):
        backup.restore(source, tmp_path / "data", may_replace=False)
    assert not list((tmp_path / "data").glob("corvo.db*"))


def test_restore_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(backup.BackupError, match="no file"):
        backup.restore(tmp_path / "nowhere", tmp_path / "data", may_replace=False)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE queues SET pending = 7", "its counters are"),
        ("DELETE FROM queues", "no row in the table of queues"),
        ("UPDATE jobs SET state = 5, finished_at = 1 WHERE unique_key = 'k'", "may not have it"),
        ("UPDATE batches SET total = 9", "are not counted yet"),
        ("UPDATE jobs SET lease_expires_at = NULL WHERE state = 2", "active without a lease"),
        ("UPDATE jobs SET finished_at = 1 WHERE state = 1", "finish time but is not finished"),
        ("UPDATE jobs SET scheduled_at = NULL WHERE state = 0", "has no scheduled time"),
        ("UPDATE jobs SET due_at = NULL WHERE state = 0", "index columns"),
    ],
)
async def test_check_reports_each_problem(
    statement: str, problem: str, bench: Bench, data_dir: Path, tmp_path: Path
) -> None:
    await bench.enqueue(unique_key="k")
    await bench.enqueue("later", at=bench.clock() + 1000)
    await bench.enqueue("work")
    await bench.fetch_one("work")
    await bench.enqueue_batch(*[make_job() for _ in range(2)], callback="callbacks")
    assert backup.check(data_dir) == []
    copy = tmp_path / "copied" / DATABASE_NAME
    copy.parent.mkdir()
    backup.back_up(data_dir, copy)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute(statement)
    assert any(problem in line for line in backup.check(copy.parent))


def test_a_database_without_tables_is_not_backed_up(tmp_path: Path) -> None:
    """A server creates the file before the tables; a copy without tables cannot be restored."""
    data_dir, copy = tmp_path / "data", tmp_path / "copy.db"
    data_dir.mkdir()
    with closing(sqlite3.connect(data_dir / DATABASE_NAME)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        with pytest.raises(backup.BackupError, match=r"no tables yet.*Try again"):
            backup.back_up(data_dir, copy)
        with pytest.raises(backup.BackupError, match="no tables yet"):
            backup.check(data_dir)
    assert not copy.exists()


async def test_vacuum_needs_the_server_to_be_stopped(bench: Bench, data_dir: Path) -> None:
    with pytest.raises(DataDirLockedError):
        backup.vacuum(data_dir)


def test_commands_report_their_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CORVO_")]:
        monkeypatch.delenv(name)
    run = CliRunner().invoke
    data_dir, copy = tmp_path / "data", tmp_path / "copy.db"
    nothing = run(server, ["--data-dir", str(data_dir), "check"])
    assert nothing.exit_code == 1
    assert "no Corvo database" in nothing.stderr
    data_dir.mkdir()
    backup.open_writer(data_dir / DATABASE_NAME).close()
    assert run(server, ["--data-dir", str(data_dir), "backup", str(copy)]).exit_code == 0
    assert "bytes before" in run(server, ["--data-dir", str(data_dir), "vacuum"]).stderr
    refused = run(server, ["--data-dir", str(data_dir), "restore", str(copy)])
    assert (refused.exit_code, "--force" in refused.stderr) == (1, True)
    forced = run(server, ["--data-dir", str(data_dir), "restore", "--force", str(copy)])
    assert forced.exit_code == 0
    sound = run(server, ["--data-dir", str(data_dir), "check"])
    assert (sound.exit_code, sound.stdout, sound.stderr) == (0, "", "no problems\n")


async def test_compact_backup_leaves_out_deleted_jobs(
    bench: Bench, data_dir: Path, tmp_path: Path
) -> None:
    await bench.enqueue(payload="x" * 200_000)
    kept = await bench.enqueue("other")
    await bench.engine.queues.clear("mail")
    copy, compact = tmp_path / "copy.db", tmp_path / "compact.db"
    size = backup.back_up(data_dir, compact, is_compact=True)
    assert size < backup.back_up(data_dir, copy) - 150_000
    assert compact.stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other"
    backup.restore(compact, other, may_replace=False)
    assert backup.check(other) == []
    store = SqliteStore(other)
    assert [record.head.id for record in await store.find_jobs([kept])] == [kept]
    await store.close()


async def test_vacuum_without_space_changes_nothing(
    bench: Bench, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await bench.enqueue(payload="x" * 10_000)
    await bench.store.close()
    (data_dir / RESERVE_NAME).touch()
    monkeypatch.setattr(Space, "_ask", lambda _: Disk(total=2**40, free=500_000))
    with pytest.raises(backup.BackupError, match=r"MB are missing.*Nothing was changed.*--compact"):
        backup.vacuum(data_dir)
    assert not (data_dir / RESERVE_NAME).exists()
    monkeypatch.undo()
    backup.vacuum(data_dir)
    assert bench.kit.query("SELECT id FROM jobs") == [(job_id,)]
    await bench.restart()
