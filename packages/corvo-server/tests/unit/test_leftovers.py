"""Files that killed commands left are removed at the next start, and only those."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from corvo_server.store.sqlite import backup
from corvo_server.store.sqlite.database import DATABASE_NAME, lock_data_dir, open_writer
from corvo_server.store.sqlite.leftovers import work_file
from corvo_server.store.sqlite.store import SqliteStore

OURS = {
    "corvo.restoring": b"",
    "corvo.restoring-wal": b"half",
    "corvo.restoring.partial": b"half",
    "corvo.restoring.corvo-lock": b"",
    "copy.db.partial": b"half",
    "copy.db.partial-journal": b"half",
    "copy.partial": b"SQLite format 3\0 and so on",
    "empty.partial": bytes(5000),
}
FOREIGN = {"notes.partial": b"a letter that is half written", "copy.db": b"x", "partial": b"x"}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with leftovers and files of others."""
    folder = tmp_path / "data"
    folder.mkdir()
    open_writer(folder / DATABASE_NAME).close()
    for name, content in (OURS | FOREIGN).items():
        (folder / name).write_bytes(content)
    return folder


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def start(data_dir: Path) -> None:
    lock_data_dir(data_dir).release()


def check(data_dir: Path) -> None:
    assert backup.check(data_dir) == []


def back_up(data_dir: Path) -> None:
    backup.back_up(data_dir, data_dir.parent / "other.db")


@pytest.mark.parametrize("command", [start, check, back_up, backup.vacuum])
def test_leftovers_are_removed_and_other_files_stay(
    command: Callable[[Path], object], data_dir: Path
) -> None:
    command(data_dir)
    files = names_in(data_dir) - {"corvo.lock"}
    assert {name for name in files if not name.startswith(DATABASE_NAME)} == set(FOREIGN)


async def test_a_server_removes_leftovers_when_it_starts(data_dir: Path) -> None:
    store = SqliteStore(data_dir)
    assert not set(OURS) & names_in(data_dir)
    await store.close()


def test_a_file_in_use_stays(data_dir: Path) -> None:
    partial = data_dir / "copy.db.partial"
    with work_file(partial):
        partial.write_bytes(b"half")
        start(data_dir)
        assert partial.read_bytes() == b"half"
        target = data_dir / "copy.db"
        target.unlink()
        with pytest.raises(backup.BackupError, match="is running"):
            backup.back_up(data_dir, target)
    assert not list(data_dir.glob("copy.db.partial*"))


_SLOW_BACKUP = """
import sys
from pathlib import Path
from corvo_server.store.sqlite import backup

def stop(path):
    print("copied", flush=True)
    sys.stdin.read()

backup._check_copy = stop
backup.back_up(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_the_next_backup_removes_what_a_killed_one_left(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "notes.db.partial").write_bytes(b"of another program")
    arguments = [sys.executable, "-c", _SLOW_BACKUP, str(data_dir), str(folder / "one.db")]
    with Popen(arguments, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"copied\n"
        backup.back_up(data_dir, folder / "two.db")
        assert (folder / "one.db.partial").exists()
        process.kill()
    assert (folder / "one.db.partial").exists()
    backup.back_up(data_dir, folder / "three.db")
    assert names_in(folder) == {"notes.db.partial", "two.db", "three.db"}


@pytest.mark.parametrize("name", ["x.partial", "corvo.restoring", "x.corvo-lock"])
def test_a_backup_is_refused_the_name_of_a_leftover(
    name: str, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(backup.BackupError, match="Choose another"):
        backup.back_up(data_dir, tmp_path / name)
    with closing(sqlite3.connect(data_dir / DATABASE_NAME)) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
