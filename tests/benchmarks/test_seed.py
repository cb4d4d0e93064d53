"""The check of the server finds no problem in a seeded data directory."""

import sqlite3
from contextlib import closing
from pathlib import Path

from corvo_bench.seed import extend, seed, seed_scheduled
from corvo_bench.server import DATABASE
from corvo_server.store.sqlite.check import find_problems


def problems(data_dir: Path) -> list[str]:
    with closing(sqlite3.connect(data_dir / DATABASE)) as connection:
        return list(find_problems(connection))


def count(data_dir: Path, state: int) -> int:
    with closing(sqlite3.connect(data_dir / DATABASE)) as connection:
        statement = "SELECT count(*) FROM jobs WHERE state = ?"
        (jobs,) = connection.execute(statement, (state,)).fetchone()
        return int(jobs)


def test_a_week_of_jobs_passes_the_check(tmp_path: Path) -> None:
    seed(tmp_path, 2_000)
    assert problems(tmp_path) == []
    assert count(tmp_path, 4) > 1_700


def test_finished_jobs_pass_the_check_after_each_addition(tmp_path: Path) -> None:
    for jobs in (0, 100, 250):
        extend(tmp_path, jobs)
        assert problems(tmp_path) == []
        assert count(tmp_path, 4) == jobs


def test_scheduled_jobs_pass_the_check(tmp_path: Path) -> None:
    seed_scheduled(tmp_path, 100)
    assert problems(tmp_path) == []
    assert count(tmp_path, 0) == 100
