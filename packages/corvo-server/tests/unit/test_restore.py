"""A restore that fails or is killed at any step leaves a complete database."""

import errno
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from corvo_server.store.sqlite import backup
from corvo_server.store.sqlite.database import DATABASE_NAME, lock_data_dir
from server_support.bench import Bench, make_job
from server_support.kits import SqliteKit

KEPT, NEWEST = 100, 200
_TRACED = ("backup.py", "durable.py", "leftovers.py", "swap.py")


@pytest.fixture
def kit(tmp_path: Path) -> SqliteKit:
    return SqliteKit(tmp_path / "data")


@pytest.fixture
async def copies(bench: Bench, kit: SqliteKit, tmp_path: Path) -> Path:
    """A directory with `backup.db` of 100 jobs, and `old` as after a kill: 200 jobs are only in
    its log."""
    await bench.enqueue_batch(*[make_job() for _ in range(KEPT)])
    folder = tmp_path / "copies"
    folder.mkdir()
    backup.back_up(kit.data_dir, folder / "backup.db")
    await bench.enqueue_batch(*[make_job() for _ in range(NEWEST)])
    shutil.copytree(kit.data_dir, folder / "old")
    with (folder / "old" / f"{DATABASE_NAME}-wal").open("rb") as log:
        assert log.read(1)
    return folder


@contextmanager
def at_each_line(action: Callable[[int], None]) -> Iterator[None]:
    """Call `action` with the number of each line that backup and restore run."""
    lines = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        code = frame.f_code.co_filename
        if not (os.sep + "sqlite" + os.sep in code and code.endswith(_TRACED)):
            return None
        if event == "line":
            lines += 1
            action(lines)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def restore(copies: Path, data_dir: Path) -> None:
    backup.restore(copies / "backup.db", data_dir, may_replace=True)


def fail(*_: Any) -> None:
    raise OSError(errno.EIO, "injected")


def end_process() -> None:
    os._exit(1)


def restore_until(step: int, copies: Path, data_dir: Path, stop: Callable[[], None]) -> bool:
    """Restore in a child process and call `stop` at a step. Return whether there is this step."""
    child = os.fork()
    if child == 0:
        code, is_reached = 2, False

        def at(line: int) -> None:
            nonlocal is_reached
            if line == step:
                is_reached = True
                stop()

        try:
            with suppress(OSError, backup.BackupError), at_each_line(at):
                restore(copies, data_dir)
            code = int(is_reached)
        finally:
            os._exit(code)
    (_, status) = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, 1}, f"at step {step}"
    return code == 1


def jobs_in(data_dir: Path) -> int:
    with closing(sqlite3.connect(data_dir / DATABASE_NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (jobs,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    return int(jobs)


def start(data_dir: Path) -> set[str]:
    """Lock the data directory as a server does. Return the files that are there then."""
    lock_data_dir(data_dir).release()
    return {path.name for path in data_dir.iterdir()}


pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@pytest.mark.parametrize("stop", [fail, end_process])
def test_a_restore_that_ends_at_any_step_leaves_the_old_or_the_new_database(
    stop: Callable[[], None], copies: Path, tmp_path: Path
) -> None:
    found: list[int] = []
    is_stopped = True
    while is_stopped:
        data_dir = tmp_path / f"step-{len(found)}"
        shutil.copytree(copies / "old", data_dir)
        is_stopped = restore_until(len(found) + 1, copies, data_dir, stop)
        found.append(jobs_in(data_dir))
        assert found[-1] in {KEPT, KEPT + NEWEST}, f"at step {len(found)}"
        assert start(data_dir) == {DATABASE_NAME, "corvo.lock"}, f"at step {len(found)}"
        assert jobs_in(data_dir) == found[-1]
        shutil.rmtree(data_dir)
    assert len(found) > 30
    assert found[-1] == KEPT
    assert KEPT + NEWEST in found


@pytest.mark.parametrize("stop", [fail, end_process])
def test_the_log_of_a_damaged_database_stays_until_the_database_is_replaced(
    stop: Callable[[], None], copies: Path, tmp_path: Path
) -> None:
    """The log cannot be written into a file that SQLite does not recognise."""
    database, log = copies / "old" / DATABASE_NAME, copies / "old" / f"{DATABASE_NAME}-wal"
    with database.open("r+b") as file:
        file.write(b"damaged by something")
    with log.open("r+b") as file:
        file.write(b"damaged")
    old = {database.name: database.read_bytes(), log.name: log.read_bytes()}
    step, is_stopped = 0, True
    while is_stopped:
        step += 1
        data_dir = tmp_path / f"step-{step}"
        shutil.copytree(copies / "old", data_dir)
        is_stopped = restore_until(step, copies, data_dir, stop)
        lock_data_dir(data_dir).release()
        files = {path.name: path.read_bytes() for path in data_dir.iterdir()}
        files.pop("corvo.lock")
        files.pop(f"{DATABASE_NAME}-shm", None)
        if files != old:
            assert set(files) == {DATABASE_NAME}, f"at step {step}: {[*files]}"
            assert jobs_in(data_dir) == KEPT
        shutil.rmtree(data_dir)
    assert step > 30
    assert files != old


@pytest.mark.parametrize("broken", ["fsync", "rename", "fsync of the directory"])
def test_the_error_says_which_database_is_there(
    broken: str, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = copies / "old"
    real = os.fsync
    with monkeypatch.context() as patch:
        if broken == "rename":
            patch.setattr(Path, "replace", fail)
            patch.setattr(os, "replace", fail)
        elif broken == "fsync":
            patch.setattr(os, "fsync", fail)
        else:
            folder = data_dir.stat().st_ino
            patch.setattr(
                os, "fsync", lambda fd: fail() if os.fstat(fd).st_ino == folder else real(fd)
            )
        with pytest.raises(backup.BackupError, match="injected") as failure:
            restore(copies, data_dir)
    if broken == "fsync of the directory":
        assert "is restored from" in str(failure.value)
        assert jobs_in(data_dir) == KEPT
    else:
        assert "that was there is unchanged" in str(failure.value)
        assert jobs_in(data_dir) == KEPT + NEWEST


def test_a_restore_waits_for_no_reader_and_changes_nothing_then(
    copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = copies / "old"
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0}))
    with closing(backup.open_reader(data_dir / DATABASE_NAME)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        with pytest.raises(backup.BackupError, match=r"locked.*is unchanged"):
            restore(copies, data_dir)
    assert jobs_in(data_dir) == KEPT + NEWEST


def test_a_log_without_its_database_is_not_applied_to_the_restored_one(copies: Path) -> None:
    data_dir = copies / "old"
    (data_dir / DATABASE_NAME).unlink()
    backup.restore(copies / "backup.db", data_dir, may_replace=False)
    assert jobs_in(data_dir) == KEPT
    assert start(data_dir) == {DATABASE_NAME, "corvo.lock"}
