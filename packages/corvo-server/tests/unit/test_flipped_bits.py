"""`check` finds flipped bits in every part of a database file."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from corvo_schema import ScheduleRequest
from corvo_server.store.sqlite import backup
from corvo_server.store.sqlite.database import DATABASE_NAME
from server_support.bench import Bench, make_job
from server_support.kits import SqliteKit

Place = tuple[int, int]
"""Offset of a byte in the file, and the mask of the bit in it."""
_PAGE = 4096


@pytest.fixture
def kit(tmp_path: Path) -> SqliteKit:
    return SqliteKit(tmp_path / "data")


@pytest.fixture
async def copy(bench: Bench, kit: SqliteKit, tmp_path: Path) -> Path:
    """A database with rows in every table; each of its tables fits into one page."""
    done = await bench.enqueue("done", payload={"to": "somebody"}, tags={"tenant": "acme"})
    await bench.ack(await bench.fetch_one("done"), result={"sent": "yes"})
    await bench.enqueue("later", at=bench.clock() + 1000, concurrency_key="customer")
    await bench.enqueue("mail", unique_key="one-at-a-time")
    await bench.enqueue_batch(make_job("b"), make_job("b"), callback="callbacks")
    active = await bench.start(queue="work")
    await bench.heartbeat(active, progress={"at": 1}, checkpoint={"page": 2})
    schedule = {"name": "s", "queue": "mail", "cron": "* * * * *", "tags": {"x": "y"}}
    await bench.engine.schedules.put(ScheduleRequest.model_validate(schedule), b'{"p":1}')
    assert (await bench.job(done)).head.state == "completed"
    target = tmp_path / "copied" / DATABASE_NAME
    target.parent.mkdir()
    backup.back_up(kit.data_dir, target)
    return target


def page_of(database: Path, name: str) -> int:
    """The offset of the page of a table or index, which has one page."""
    with closing(sqlite3.connect(database)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)
        ).fetchone()
    offset = (int(page) - 1) * _PAGE
    assert database.read_bytes()[offset] in {10, 13}, "not a leaf"
    return offset


def header(offset: int, mask: int) -> Callable[[Path], Place]:
    return lambda _: (offset, mask)


def in_page(name: str, offset: int, mask: int) -> Callable[[Path], Place]:
    return lambda database: (page_of(database, name) + offset, mask)


def text(name: str, pattern: bytes, mask: int) -> Callable[[Path], Place]:
    """The last byte of the first match in the page of a table or index."""

    def find(database: Path) -> Place:
        start = page_of(database, name)
        found = re.search(pattern, database.read_bytes()[start : start + _PAGE], re.DOTALL)
        assert found is not None
        return start + found.end() - 1, mask

    return find


def schema(pattern: bytes, mask: int) -> Callable[[Path], Place]:
    """The last byte of the first match in the file, where the definitions are."""

    def find(database: Path) -> Place:
        found = re.search(pattern, database.read_bytes(), re.DOTALL)
        assert found is not None
        return found.end() - 1, mask

    return find


def value(table: str, statement: str) -> Callable[[Path], Place]:
    """The bit in the page of a table that a statement changes; it changes no other bit there."""

    def find(database: Path) -> Place:
        changed = database.with_suffix(".changed")
        shutil.copyfile(database, changed)
        with closing(sqlite3.connect(changed)) as connection, connection:
            for (trigger,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
            ).fetchall():
                connection.execute(f"DROP TRIGGER {trigger}")
            connection.execute(statement)
        start = page_of(database, table)
        before, after = (path.read_bytes()[start : start + _PAGE] for path in (database, changed))
        changed.unlink()
        different = [
            (start + at, a ^ b)
            for at, (a, b) in enumerate(zip(before, after, strict=True))
            if a != b
        ]
        assert len(different) == 1, different
        assert different[0][1].bit_count() == 1
        return different[0]

    return find


@pytest.mark.parametrize(
    ("find", "problem"),
    [
        pytest.param(header(31, 1), "file:", id="file header: number of pages"),
        pytest.param(in_page("jobs", 0, 8), "file:", id="page header: type"),
        pytest.param(in_page("jobs", 4, 1), "file:", id="page header: number of rows"),
        pytest.param(in_page("jobs", 9, 2), "file:", id="page: place of a row"),
        pytest.param(text("jobs_pending", b"mail", 1), "missing from index", id="index: key"),
        pytest.param(
            text("jobs_finished", b"done", 1), "missing from index", id="index: second column"
        ),
        pytest.param(schema(rb"WHERE state = 1", 2), "jobs_pending", id="schema: index"),
        pytest.param(schema(rb"old\.seq >> 12", 1), "job_tags_of", id="schema: trigger"),
        pytest.param(text("jobs", b'{"to":', 1), "is not JSON", id="payload: punctuation"),
        pytest.param(text("jobs", b"somebo", 128), "is not UTF-8", id="payload: not UTF-8"),
        pytest.param(text("jobs", b'{"sent":', 1), "is not JSON", id="result"),
        pytest.param(text("jobs", b'{"page":', 1), "is not JSON", id="checkpoint"),
        pytest.param(text("jobs", b'{"at":', 1), "is not JSON", id="progress"),
        pytest.param(text("jobs", b'"acme', 1), "index of tags", id="tag of a job"),
        pytest.param(text("job_tags", b"acme", 1), "index of tags", id="tag in the index"),
        pytest.param(text("schedules", b'{"p":', 1), "is not JSON", id="schedule: payload"),
        pytest.param(text("schedules", b"run_once", 1), "is not one of", id="schedule: misfire"),
        pytest.param(
            value("jobs", "UPDATE jobs SET state = 6 WHERE state = 4"),
            "its counters are",
            id="state: another state",
        ),
        pytest.param(
            value("jobs", "UPDATE jobs SET state = 12 WHERE state = 4"),
            "state of jobs 1: 12 is not one of",
            id="state: no state",
        ),
        pytest.param(
            value("jobs", "UPDATE jobs SET priority = 10 WHERE state = 4"),
            "priority of jobs 1: 10 is not one of",
            id="priority",
        ),
        pytest.param(
            value("jobs", "UPDATE jobs SET created_at = created_at | (1 << 46) WHERE state = 4"),
            "created",
            id="time",
        ),
        pytest.param(
            value("jobs", "UPDATE jobs SET scheduled_at = scheduled_at + 1 WHERE state = 0"),
            "index columns",
            id="scheduled time",
        ),
        pytest.param(
            value("queues", "UPDATE queues SET pending = pending + 4 WHERE name = 'b'"),
            "queue b: its counters are",
            id="counter",
        ),
        pytest.param(
            value("batches", "UPDATE batches SET total = total + 4"),
            "are not counted yet",
            id="counter of a batch",
        ),
        pytest.param(
            value("unique_locks", "UPDATE unique_locks SET job_seq = job_seq + 64"),
            "unique_locks",
            id="lock of a job",
        ),
        pytest.param(text("events", b"starte", 4), "is not one of", id="event: type"),
        pytest.param(
            value("events", "UPDATE events SET job_seq = job_seq + 64 WHERE job_seq = 2"),
            "which never existed",
            id="event: seq of the job",
        ),
    ],
)
def test_a_flipped_bit_is_found(find: Callable[[Path], Place], problem: str, copy: Path) -> None:
    assert backup.check(copy.parent) == []
    flip(copy, find(copy))
    problems = backup.check(copy.parent)
    assert any(problem in line for line in problems), problems


def flip(database: Path, place: Place) -> None:
    offset, mask = place
    with database.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


@pytest.mark.parametrize(
    "find",
    [
        pytest.param(text("jobs", b"somebod", 1), id="letter in a payload"),
        pytest.param(text("schedules", b'{"p":1', 2), id="digit in a payload"),
        pytest.param(header(27, 1), id="counter of changes of the file"),
    ],
)
def test_a_bit_of_a_valid_value_is_not_found(find: Callable[[Path], Place], copy: Path) -> None:
    """docs/operations.md names these limits."""
    flip(copy, find(copy))
    assert backup.check(copy.parent) == []


def test_a_flipped_bit_in_the_name_of_the_format_is_an_error(copy: Path) -> None:
    flip(copy, (0, 1))
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        backup.check(copy.parent)


def test_many_equal_problems_are_counted(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE events SET data = '{'")
    problems = [line for line in backup.check(copy.parent) if line.startswith("data of events")]
    assert len(problems) == 6
    assert re.fullmatch(r"data of events: \d+ more rows with such a problem", problems[-1])


def test_a_missing_index_is_found(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("DROP INDEX jobs_due")
    assert backup.check(copy.parent) == ["the index jobs_due is missing"]


def test_comments_of_another_release_are_not_a_problem(copy: Path) -> None:
    change_definitions(copy, "-- ", "--  Other words: ")
    assert backup.check(copy.parent) == []
    change_definitions(copy, "NOT NULL DEFAULT 0", "NOT NULL DEFAULT 1")
    assert "the definition of the table queues differs from that of the server" in backup.check(
        copy.parent
    )


def change_definitions(database: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, ?, ?)", (old, new))
