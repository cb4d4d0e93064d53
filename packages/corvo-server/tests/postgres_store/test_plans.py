"""The plans of PostgreSQL for searches, as it chooses them for large tables."""

from collections.abc import Callable
from urllib.parse import urlsplit

import psycopg
import pytest

from corvo_schema import SearchRequest, SortField
from corvo_schema.states import JobState
from corvo_server.engine.search import Page
from corvo_server.store.postgres.search import _condition, _page_statement
from corvo_server.store.search.filters import JobFilter
from corvo_server.store.search.order import phases_of
from corvo_server.store.search.search import Position, Search
from server_support.bench import Bench, make_job
from server_support.clock import ManualClock
from server_support.postgres import execute

EAGER = (
    "min_parallel_table_scan_size = 0",
    "min_parallel_index_scan_size = 0",
    "parallel_setup_cost = 0",
    "parallel_tuple_cost = 0",
)
"""Settings that make the planner use parallel plans whenever they are allowed."""
JOBS = 400


@pytest.fixture
async def bench(postgres_url: str, open_bench: Callable[..., Bench]) -> Bench:
    """An engine with jobs in two queues, on a database that prefers parallel plans."""
    name = urlsplit(postgres_url).path[1:]
    for setting in EAGER:
        execute(postgres_url, f"ALTER DATABASE {name} SET {setting}")
    bench = open_bench()
    jobs = [make_job("mail" if n % 3 else "calls", payload={"n": n}) for n in range(JOBS)]
    await bench.enqueue_batch(*jobs)
    execute(postgres_url, "VACUUM ANALYZE corvo.jobs")
    return bench


async def find(bench: Bench, **fields: object) -> Page:
    return await bench.engine.search.jobs(SearchRequest.model_validate(fields))


async def test_payloads_are_never_read_by_parallel_plans(bench: Bench, postgres_url: str) -> None:
    read = "SELECT count(*) FROM corvo.jobs WHERE corvo.document(payload) IS NOT NULL"
    assert execute(postgres_url, read) == [(JOBS,)]
    for sort in ("created_at", "priority"):
        page = await find(bench, payload_jq=f".n == {JOBS - 1}", sort=sort)
        assert [job.payload for job in page.jobs] == [f'{{"n":{JOBS - 1}}}']


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_jobs_of_all_queues_are_sorted_by_completion(
    bench: Bench, clock: ManualClock, order: str
) -> None:
    ended = []
    for _ in range(60):
        clock.forward(7)
        job = await bench.fetch_one("mail", "calls")
        await bench.ack(job)
        ended.append(job.head.id)
    found: list[str] = []
    cursor = None
    while len(found) < len(ended):
        page = await find(bench, sort="completed_at", order=order, limit=20, cursor=cursor)
        found += [job.head.id for job in page.jobs]
        cursor = page.cursor
    assert found == (ended if order == "asc" else ended[::-1])


def test_a_page_reads_the_index_of_finished_jobs_from_the_cursor(postgres_url: str) -> None:
    plan = plan_of(
        postgres_url,
        Search(JobFilter(), as_of=2, limit=20, sort=SortField.COMPLETED_AT, after=Position(1, 1)),
    )
    assert "using jobs_finished" in plan
    assert "(queue = queue_counts.queue)" in plan
    assert "ROW(finished_at, seq) <" in plan.split("Index Cond:")[1].splitlines()[0]


def test_dead_jobs_are_found_by_the_index_of_finished_jobs(postgres_url: str) -> None:
    plan = plan_of(postgres_url, Search(JobFilter(states=frozenset({JobState.DEAD})), 0, limit=20))
    assert "jobs_finished" in plan
    assert "Index Cond: (state = " in plan


def plan_of(url: str, request: Search) -> str:
    """Return the plan for the first phase of a page, with sequential scans disabled."""
    phase = phases_of(request)[0]
    statement = _page_statement(
        request, phase, _condition(request.wanted), request.after, needed=21
    )
    text = "EXPLAIN " + statement.text.replace("?", "%s")
    with psycopg.connect(url, options="-c search_path=corvo") as connection:
        connection.execute("SET enable_seqscan = off")
        lines = connection.execute(text.encode(), statement.values)
        return "\n".join(line for (line,) in lines)
