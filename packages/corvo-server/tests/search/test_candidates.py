"""The choice between index and scan on SQLite, and the index of tags."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from corvo_schema import SortOrder
from corvo_schema.states import JobState
from corvo_server.store.rows.codes import STATE_CODES
from corvo_server.store.search.filters import JobFilter, Span
from corvo_server.store.search.fragments import Sql
from corvo_server.store.search.search import Search, Total
from corvo_server.store.sqlite import plan
from corvo_server.store.sqlite.check import find_problems
from corvo_server.store.sqlite.database import DATABASE_NAME, open_reader
from corvo_server.store.sqlite.plan import Plan
from corvo_server.store.sqlite.search import matching_ids, search
from server_support.bench import Bench
from server_support.kits import SqliteKit

WANTED: dict[str, JobFilter] = {
    "jobs_unique_key": JobFilter(unique_key="k"),
    "jobs_batch": JobFilter(batch_id="b"),
    "sqlite_autoindex_jobs_1": JobFilter(id_prefix="job_0"),
    "SEARCH t USING PRIMARY KEY (segment=? AND key=? AND value=?)": JobFilter(tags={"a": "1"}),
    "job_failures_job": JobFilter(error_contains="x"),
    "jobs_finished (state=? AND queue=? AND finished_at>?": JobFilter(
        queue="a", states=frozenset({JobState.DEAD})
    ),
    "jobs_finished (state=? AND queue=? AND finished_at>? AND finished_at<?)": JobFilter(
        completed=Span(5, 10)
    ),
    "jobs_pending (queue=?)": JobFilter(queue="a", states=frozenset({JobState.PENDING})),
    "jobs_leased": JobFilter(states=frozenset({JobState.ACTIVE})),
    "jobs_due": JobFilter(states=frozenset({JobState.RETRYING})),
}


@pytest.fixture
def kit(tmp_path: Path) -> SqliteKit:
    """These tests are about SQLite only."""
    return SqliteKit(tmp_path)


@pytest.fixture
async def connection(bench: Bench, kit: SqliteKit) -> Iterator[sqlite3.Connection]:
    """A reader of a database with some jobs in every state."""
    for state in sorted(set(JobState) - {JobState.PENDING}):
        await bench.bring_to(state, queue="a", tags={"a": "1"})
    for number in range(30):
        await bench.enqueue("b", tags={"a": str(number)})
    with closing(open_reader(kit.data_dir / DATABASE_NAME)) as connection:
        yield connection


def plan_of(connection: sqlite3.Connection, statement: Sql) -> str:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement.text}", statement.values)
    return "\n".join(row[3] for row in rows)


@pytest.mark.parametrize("index", WANTED)
def test_each_filter_uses_its_index(connection: sqlite3.Connection, index: str) -> None:
    candidates = Plan(connection, WANTED[index]).candidates
    assert candidates is not None
    plan = plan_of(connection, candidates.seqs)
    assert index in plan
    assert "SCAN jobs" not in plan.replace("SCAN jobs USING", "")


@pytest.mark.parametrize(
    "wanted", [JobFilter(), JobFilter(queue="b"), JobFilter(payload_contains="x")]
)
def test_a_scan_needs_no_sorting(connection: sqlite3.Connection, wanted: JobFilter) -> None:
    statement = Plan(connection, wanted).select("jobs.seq", None)
    ordered = Sql(f"{statement.text} ORDER BY jobs.seq DESC LIMIT 5", statement.values)
    plan = plan_of(connection, ordered)
    assert "SEARCH jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("share", [0, 1, 1000])
def test_index_and_scan_find_the_same_jobs(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, share: int
) -> None:
    """`share`: a candidate costs nothing, as much as a job, or so much that a scan is chosen."""
    monkeypatch.setattr(plan, "STEPS_PER_CANDIDATE", share)
    for wanted in (
        JobFilter(tags={"a": "1"}),
        JobFilter(tags={"a": "1"}, states=frozenset(JobState) - {JobState.DEAD}),
        JobFilter(queue="a"),
        JobFilter(queue="a", states=frozenset({JobState.SCHEDULED, JobState.RETRYING})),
        JobFilter(states=frozenset({JobState.SCHEDULED, JobState.PENDING})),
        JobFilter(completed=Span(after=0), tags={"a": "1"}),
        JobFilter(has_errors=True),
    ):
        found = search(connection, Search(wanted, 2**60, 100))
        seqs = [job.head.seq for job in found.jobs]
        assert seqs == sorted(expected(connection, wanted), reverse=True)
        assert [seq for seq, _ in matching_ids(connection, wanted, 0, 100)] == sorted(seqs)
        assert found.total.jobs == len(seqs)
        first = search(connection, Search(wanted, 2**60, 2))
        assert [job.head.seq for job in first.jobs] == seqs[:2]
        assert first.total.jobs == len(seqs)


def expected(connection: sqlite3.Connection, wanted: JobFilter) -> list[int]:
    statement = Plan(connection, wanted).condition
    text = f"SELECT seq FROM jobs NOT INDEXED WHERE {statement.text}"  # noqa: S608 - what is tested
    return [seq for (seq,) in connection.execute(text, statement.values)]


def test_matching_ids_continue_after_the_last_seq(connection: sqlite3.Connection) -> None:
    wanted = JobFilter(queue="b")
    found: list[tuple[int, str]] = []
    while chunk := matching_ids(connection, wanted, found[-1][0] if found else 0, 7):
        found += chunk
    assert len(found) == len(set(found)) == 30
    assert found == sorted(found)


FAR = {
    "queue and state": JobFilter(queue="a", states=frozenset({JobState.DEAD})),
    "state": JobFilter(states=frozenset({JobState.DEAD})),
    "queue": JobFilter(queue="a"),
    "with a tag that is common elsewhere": JobFilter(
        queue="a", states=frozenset({JobState.DEAD}), tags={"a": "1"}
    ),
    "with a tag that nothing there has": JobFilter(
        queue="a", states=frozenset({JobState.DEAD}), tags={"b": "1"}
    ),
    "waiting": JobFilter(queue="b", states=frozenset({JobState.PENDING})),
}
"""Filters with many matches, all of which are older than the jobs of another queue."""
ADD_JOBS = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :jobs)
INSERT INTO jobs (seq, id, queue, state, priority, max_retries, backoff, base_delay, max_delay,
                  unique_period, created_at, finished_at, payload, tags)
SELECT last + i, printf('job_0%025d', last + i), :queue, :state, 2, 3, 0, 0, 0, 0, made, :done,
       '{}', '{"a":"1"}'
FROM n, (SELECT max(seq) AS last, max(created_at) AS made FROM jobs)"""


def add(copy: sqlite3.Connection, queue: str, state: JobState, jobs: int) -> None:
    """Append `jobs` jobs to a queue, with the highest seqs and the tag `a` = `1`."""
    done = 1 if state.is_finished else None
    values = {"queue": queue, "state": STATE_CODES[state], "jobs": jobs, "done": done}
    copy.execute(ADD_JOBS, values)
    copy.execute("INSERT OR IGNORE INTO queues (name, created_at) VALUES (?, 1)", (queue,))
    counter = f"UPDATE queues SET {state} = {state} + ? WHERE name = ?"  # noqa: S608 - a state
    copy.execute(counter, (jobs, queue))
    copy.execute("DELETE FROM job_tags")
    copy.execute(f"INSERT INTO job_tags {TAGGED}")


def steps_of(copy: sqlite3.Connection, wanted: JobFilter, order: SortOrder) -> tuple[int, int]:
    """Return the cost of a page in units of ten SQLite VM instructions, and its number of jobs."""
    done = 0

    def count() -> int:
        nonlocal done
        done += 1
        return 0

    copy.set_progress_handler(count, 10)
    found = search(copy, Search(wanted, 2**60, 50, order=order, total=Total(0, is_exact=False)))
    copy.set_progress_handler(None, 0)
    return done, len(found.jobs)


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("order", SortOrder)
def test_cost_does_not_grow_with_jobs_in_front_of_the_matches(
    connection: sqlite3.Connection, name: str, order: SortOrder
) -> None:
    """A scan towards matches that are far away must end early."""
    with closing(sqlite3.connect(":memory:")) as copy:
        connection.backup(copy)
        if order is SortOrder.ASC:
            add(copy, "other", JobState.COMPLETED, 40_000)
        add(copy, "a", JobState.DEAD, 500)
        add(copy, "b", JobState.PENDING, 500)
        before, jobs = steps_of(copy, FAR[name], SortOrder.DESC)
        if order is SortOrder.DESC:
            add(copy, "other", JobState.COMPLETED, 40_000)
        after, same_jobs = steps_of(copy, FAR[name], order)
        assert jobs == same_jobs
        # A scan of all 40,000 jobs costs 20,000 units.
        assert after < before + 8_000
        found = search(copy, Search(FAR[name], 2**60, 500, order=order))
        seqs = [job.head.seq for job in found.jobs]
        is_down = order is SortOrder.DESC
        assert seqs == sorted(expected(copy, FAR[name]), reverse=is_down)[:500]


INDEXED = "SELECT segment, key, value, job_seq FROM job_tags ORDER BY 1, 2, 3, 4"
TAGGED = (
    "SELECT seq >> 12, key, value, seq FROM jobs, json_each(jobs.tags)"
    " WHERE tags IS NOT NULL ORDER BY 1, 2, 3, 4"
)


async def test_the_index_of_tags_is_kept_up_to_date(bench: Bench, kit: SqliteKit) -> None:
    async def check(rows: int) -> None:
        indexed: list[tuple[Any, ...]] = kit.query(INDEXED)
        assert indexed == kit.query(TAGGED)
        assert len(indexed) == rows

    await bench.enqueue()
    await bench.enqueue(tags={})
    await check(0)
    await bench.enqueue(tags={"a": "1", 'odd "\\é': "%_"})
    keyed = await bench.enqueue(tags={"a": "2"}, unique_key="k")
    await check(3)
    again = {"unique_key": "k", "on_conflict": "replace"}
    await bench.try_enqueue(tags={"b": "3", "c": "4"}, **again)
    await check(4)
    await bench.try_enqueue(**again)
    await check(2)
    await bench.try_enqueue(tags={"b": "5"}, **again)
    await check(3)
    await bench.engine.jobs.move(keyed, "other")
    await bench.engine.jobs.cancel(keyed)
    await check(3)
    await bench.engine.jobs.delete(keyed)
    await check(2)
    done = await bench.bring_to(JobState.CANCELLED, queue="x", tags={"a": "6"})
    await check(3)
    await bench.prune(8 * 86_400_000)
    assert await bench.store.find_job(done) is None
    await check(2)


def test_tags_in_a_distant_segment_are_found(connection: sqlite3.Connection, tmp_path: Any) -> None:
    """Empty segments cost nothing: here there are 2^28 of them between two jobs."""
    with closing(sqlite3.connect(":memory:")) as copy:
        connection.backup(copy)
        copy.execute("UPDATE jobs SET seq = seq + (1 << 40) WHERE seq % 2")
        copy.execute("DELETE FROM job_tags")
        copy.execute(f"INSERT INTO job_tags {TAGGED}")
        copy.commit()
        wanted = JobFilter(tags={"a": "1"})
        found = search(copy, Search(wanted, 2**60, 100))
        assert len(found.jobs) == found.total.jobs == len(expected(connection, wanted))


async def test_the_check_finds_a_wrong_index_of_tags_and_a_wrong_order(
    connection: sqlite3.Connection,
) -> None:
    with closing(sqlite3.connect(":memory:")) as copy:
        connection.backup(copy)
        assert list(find_problems(copy)) == []
        copy.execute("DELETE FROM job_tags WHERE job_seq = 7")
        copy.execute("INSERT INTO job_tags VALUES (0, 'x', 'y', 8)")
        copy.execute("UPDATE jobs SET created_at = created_at - 1 WHERE seq = 9")
        problems = " ".join(find_problems(copy))
    wrong_index = "the index of tags is wrong for the job with seq"
    assert f"{wrong_index} 7: tag 'a', value '0'" in problems
    assert f"{wrong_index} 8: tag 'x', value 'y'" in problems
    assert "was created before a job with a lower seq" in problems
