import time
from pathlib import Path

from ledger import Ledger


def test_processes_share_the_records(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", 10)
    other = Ledger(tmp_path / "ledger")
    before = time.monotonic_ns()
    ledger.send(3)
    other.start(3)
    (row,) = ledger.rows(range(3, 4))
    assert before <= row[0] <= row[1] <= time.monotonic_ns()
    assert row[2] == 1
    assert len(other) == 10


def test_jobs_that_started_are_counted_within_a_range(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", 10)
    for number in (0, 4, 5, 9):
        ledger.start(number)
    assert [ledger.count_started(range(*ends)) for ends in ((0, 10), (4, 6), (6, 9))] == [4, 2, 0]


def test_a_second_start_of_a_job_is_counted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", 2)
    ledger.start(1)
    ledger.start(1)
    assert [runs for _, _, runs in ledger.rows(range(2))] == [0, 2]
