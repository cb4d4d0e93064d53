"""Several stores on one database: notifications, limits, locks and lost connections."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import orjson
import psycopg
import pytest

from corvo_schema import BulkStatus, new_job_id
from corvo_schema.states import JobState
from corvo_server.auth.caller import SERVER, Caller, set_caller
from corvo_server.engine import bulk, queues
from corvo_server.engine.errors import CallError
from corvo_server.store.bulk import BulkRecord
from corvo_server.store.emptying import EmptyQueue
from corvo_server.store.postgres.nodes import writer_of
from corvo_server.store.postgres.pipeline import Pipeline, Rows
from corvo_server.store.postgres.rows import Row
from corvo_server.store.postgres.store import PostgresStore
from corvo_server.store.records import Quota
from server_support.bench import Bench, make_job, turns, until
from server_support.clock import ManualClock
from server_support.kits import PostgresKit

OpenBench = Callable[..., Bench]

ALONE: dict[str, Any] = {"notify": False, "poll_seconds": 0}
"""Options of a store that learns nothing of other servers."""


@pytest.mark.parametrize(
    "options",
    [{"poll_seconds": 3600}, {"notify": False, "poll_seconds": 0.02}],
    ids=["notified", "polling"],
)
async def test_waiting_fetch_gets_a_job_that_another_server_enqueued(
    open_bench: OpenBench, options: dict[str, Any]
) -> None:
    here, there = open_bench(**options), open_bench(**options)
    await until(lambda: bool(there.commits))  # after the first poll, the store listens
    waiting = await there.waiting()
    job_id = await here.enqueue()
    (job,) = await asyncio.wait_for(waiting, 10)
    assert job.head.id == job_id
    await here.ack(job)
    assert await there.state(job_id) is JobState.COMPLETED


async def test_limits_of_a_key_hold_across_servers(open_bench: OpenBench) -> None:
    benches = [open_bench(**ALONE) for _ in range(3)]
    set_caller(Caller("tenant", SERVER.roles, quota=Quota("tenant", 20, None)))
    try:
        tasks = [bench.try_enqueue() for _ in range(15) for bench in benches]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(result, CallError) for result in results) == len(tasks) - 20
        assert benches[0].kit.count_rows("jobs") == 20
        (job,) = await benches[1].fetch()  # its place is free on all servers
        await benches[2].enqueue()
        with pytest.raises(CallError, match="max_waiting"):
            await benches[0].enqueue()
        await benches[0].fail(job)
    finally:
        set_caller(SERVER)
    for bench in benches:
        await bench.store.close()
    kit = benches[0].kit
    assert kit.query("SELECT writer, waiting FROM key_usage") == [("", 21)]  # merged
    assert kit.find_problems() == []


async def test_enqueue_with_a_limit_waits_for_that_of_another_server(
    open_bench: OpenBench,
) -> None:
    bench = open_bench(**ALONE)
    kit = bench.kit
    assert isinstance(kit, PostgresKit)
    set_caller(Caller("tenant", SERVER.roles, quota=Quota("tenant", 2, None)))
    try:
        await bench.enqueue()
        with psycopg.connect(kit.url) as other:  # as another server does in its commit
            other.execute("SET search_path = corvo")
            other.execute("SELECT FROM key_usage WHERE (name, writer) = ('tenant', '') FOR UPDATE")
            other.execute("INSERT INTO key_usage VALUES ('tenant', 'other', 1, 0)")
            enqueue = asyncio.ensure_future(bench.try_enqueue())
            waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            await until(lambda: bool(kit.query(waiting)))
            assert not enqueue.done()
        with pytest.raises(CallError, match="It has 2, and this request adds 1"):
            await enqueue
    finally:
        set_caller(SERVER)


async def test_no_job_is_handed_out_twice(open_bench: OpenBench) -> None:
    benches = [open_bench(**ALONE) for _ in range(3)]
    await benches[0].enqueue_batch(*(make_job() for _ in range(300)))
    fetched: list[str] = []

    async def drain(bench: Bench) -> None:
        while jobs := await bench.fetch(count=7):
            fetched.extend(job.head.id for job in jobs)
            await asyncio.gather(*(bench.ack(job) for job in jobs))

    await asyncio.gather(*(drain(bench) for bench in benches for _ in range(4)))
    while left := await benches[0].fetch(count=50):  # jobs that servers had locked but not taken
        fetched.extend(job.head.id for job in left)
        await asyncio.gather(*(benches[0].ack(job) for job in left))
    assert len(fetched) == len(set(fetched)) == 300
    await benches[0].check_counters()
    assert (await benches[0].queue()).completed == 300


async def test_callbacks_are_enqueued_in_the_order_in_which_batches_finish(
    open_bench: OpenBench, postgres_url: str
) -> None:
    bench = open_bench(**ALONE)
    batches = [await bench.enqueue_batch(make_job(), callback="callbacks")]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        # With these statistics, the plan reads the batches by id, not in the order of the finishes.
        connection.execute("ANALYZE corvo.batches")
    batches += [await bench.enqueue_batch(make_job(), callback="callbacks") for _ in range(2)]
    jobs = await bench.fetch(count=3)
    with bench.kit.hold_commits(bench.store):
        acks = [asyncio.ensure_future(bench.ack(job)) for job in reversed(jobs)]
        await turns()
    await asyncio.gather(*acks)
    called = [
        orjson.loads(job.payload)["batch_id"] for job in await bench.fetch("callbacks", count=3)
    ]
    assert called == [batch_id for _, batch_id in reversed(batches)]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a delete of more than three jobs be a bulk operation with two jobs per chunk."""
    monkeypatch.setattr(queues, "AT_ONCE", 3)
    monkeypatch.setattr(bulk, "CHUNK", 2)


@pytest.mark.usefixtures("small_chunks")
async def test_delete_is_answered_when_another_server_has_carried_it_out(
    open_bench: OpenBench,
) -> None:
    here, there = open_bench(**ALONE), open_bench(**ALONE)
    await here.enqueue_batch(*(make_job() for _ in range(7)))
    call = asyncio.ensure_future(here.engine.queues.delete("mail"))
    await until(here.engine.bulk.work.is_set)
    assert await here.engine.bulk.step()
    assert await there.fetch(count=9) == await here.fetch(count=9) == []
    while await there.engine.bulk.step():
        pass
    assert await asyncio.wait_for(call, 10) == 7
    assert await there.store.list_queues() == []


@pytest.mark.usefixtures("small_chunks")
async def test_two_leaders_do_no_chunk_twice(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_LONGEST_WAIT", 0)
    benches = [open_bench(**ALONE) for _ in range(2)]
    await benches[0].enqueue_batch(*(make_job() for _ in range(40)))
    record = await benches[0].engine.queues.delete("mail")
    assert isinstance(record, BulkRecord)

    async def lead(bench: Bench) -> None:
        while await bench.engine.bulk.step():
            pass

    await asyncio.gather(*map(lead, benches))
    ended = await benches[1].engine.bulk.get(record.id)
    assert (ended.status, ended.processed, ended.errors) == (BulkStatus.COMPLETED, 40, 0)
    assert await benches[0].store.list_queues() == []


@pytest.mark.usefixtures("small_chunks")
async def test_delete_waits_for_a_fetch_that_has_locked_its_jobs(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counters do not show the start yet, but the lock of the job does."""
    here, there = open_bench(**ALONE), open_bench(**ALONE)
    await here.enqueue_batch(make_job(), make_job())
    has_started, may_commit = threading.Event(), threading.Event()
    session = there.store._writer._session  # type: ignore[attr-defined]
    commit = session.commit

    def commit_late(tx: Any) -> Any:
        tx.write_counts()
        session._pipeline.ask("SELECT 1")  # so that the database has done all of the above
        has_started.set()
        may_commit.wait()
        return commit(tx)

    monkeypatch.setattr(session, "commit", commit_late)
    fetch = there.fetching()
    await asyncio.to_thread(has_started.wait)
    delete = asyncio.ensure_future(here.engine.queues.delete("mail"))
    await until(lambda: here.store.backlog > 0)
    may_commit.set()
    assert len(await fetch) == 1
    with pytest.raises(CallError, match="1 active jobs"):
        await delete
    queue = await here.queue()
    assert (queue.active, queue.pending) == (1, 1)


async def test_max_concurrency_applies_across_servers(open_bench: OpenBench) -> None:
    benches = [open_bench(**ALONE) for _ in range(3)]
    await benches[0].engine.queues.limit("mail", 5)
    await benches[0].enqueue_batch(*(make_job() for _ in range(60)))
    fetched = await asyncio.gather(
        *(bench.fetch(worker=f"w{n}", count=3) for n in range(5) for bench in benches)
    )
    assert sum(map(len, fetched)) == 5


async def test_started_at_is_not_before_the_job_was_found(
    open_bench: OpenBench, clock: ManualClock
) -> None:
    """Another server may have released the job during the query; the start must be after that."""
    bench = open_bench(**ALONE)
    await bench.engine.queues.throttle("mail", 4, 60_000)
    await bench.enqueue()
    session = bench.store._writer._session  # type: ignore[attr-defined]
    real = session._tables_of

    def slow_tables(*args: Any) -> Any:
        tables = real(*args)
        first = tables.pending.first

        def find_slowly(*wanted: Any) -> Any:
            found = first(*wanted)
            clock.forward(160)
            return found

        tables.pending.first = find_slowly
        return tables

    session._tables_of = slow_tables
    (job,) = await bench.fetch()
    assert job.head.started_at == clock()
    assert bench.kit.query("SELECT at FROM corvo.throttle_starts") == [(clock(),)]


async def test_a_rate_limit_applies_across_servers(open_bench: OpenBench) -> None:
    benches = [open_bench(**ALONE) for _ in range(3)]
    await benches[0].engine.queues.throttle("mail", 4, 60_000)
    await benches[0].enqueue_batch(*(make_job() for _ in range(60)))
    fetched = await asyncio.gather(*(bench.fetch(count=3) for _ in range(3) for bench in benches))
    assert sum(map(len, fetched)) == 4


@pytest.mark.parametrize("fields", [{"unique_key": "k"}, {"job_id": new_job_id()}])
async def test_concurrent_enqueues_of_one_job_create_it_once(
    open_bench: OpenBench, fields: dict[str, str]
) -> None:
    benches = [open_bench(**ALONE) for _ in range(4)]
    answers = await asyncio.gather(
        *(bench.try_enqueue(**fields) for _ in range(5) for bench in benches)
    )
    assert sum(answer.is_new for answer in answers) == 1
    assert len({answer.job_id for answer in answers}) == 1
    assert benches[0].kit.count_rows("jobs") == 1


async def test_unique_keys_in_different_orders_cause_no_deadlock(open_bench: OpenBench) -> None:
    benches = [open_bench(**ALONE) for _ in range(3)]
    keys = [f"k{n}" for n in range(12)]

    async def store_and_end(bench: Bench, order: list[str]) -> None:
        for _ in range(5):
            answers, _ = await bench.enqueue_batch(*(make_job(unique_key=key) for key in order))
            await asyncio.gather(
                *(bench.engine.jobs.cancel(job.job_id) for job in answers if job.is_new)
            )

    orders = (keys, keys[::-1], keys[6:] + keys[:6])
    await asyncio.gather(
        *(store_and_end(bench, order) for bench, order in zip(benches, orders, strict=True))
    )
    assert benches[0].kit.count_rows("unique_locks") == 0
    await benches[0].check_counters()


async def test_a_batch_finishes_once(open_bench: OpenBench) -> None:
    benches = [open_bench(**ALONE) for _ in range(3)]
    _, batch_id = await benches[0].enqueue_batch(*(make_job() for _ in range(30)), callback="done")
    jobs = await benches[0].fetch(count=30)
    await asyncio.gather(*(benches[n % 3].ack(job) for n, job in enumerate(jobs)))
    assert (await benches[0].batch(batch_id)).succeeded == 30
    assert len(await benches[1].fetch("done", count=10)) == 1


async def test_a_queue_exists_while_it_has_a_job(open_bench: OpenBench) -> None:
    here, there = open_bench(**ALONE), open_bench(**ALONE)
    delete = EmptyQueue("mail", is_deleted=True, now=here.clock(), check=lambda _: None)
    for _ in range(10):
        job_id, _ = await asyncio.gather(here.enqueue(), there.store.empty_queue(delete))
        assert (await there.queue()).pending == 1
        await here.engine.jobs.delete(job_id)
    await here.check_counters()


async def test_counters_of_a_server_that_left_are_kept(open_bench: OpenBench) -> None:
    here, there = open_bench(**ALONE), open_bench(**ALONE)
    await here.enqueue()
    await there.enqueue()
    await here.store.close()
    assert (await there.queue()).enqueued == 2
    assert there.kit.query("SELECT count(DISTINCT writer) FROM queue_counts") == [(2,)]
    assert there.kit.count_rows("writers") == 1
    await there.check_counters()


HOUR = 3_600_000


async def test_counters_of_a_killed_server_are_merged_after_an_hour(
    open_bench: OpenBench, clock: ManualClock
) -> None:
    here, silent, late = (open_bench(**ALONE) for _ in range(3))
    for bench in (here, silent, late):
        await bench.engine.nodes.beat()
        await bench.enqueue()
    seen = "UPDATE corvo.nodes SET last_seen = ? WHERE id = ? RETURNING 1"
    for bench, at in ((here, 0), (silent, -HOUR - 1), (late, -HOUR)):
        bench.kit.query(seen, clock() + at, bench.engine.nodes.id)
    assert await here.engine.maintenance.prune() == 1
    assert await here.engine.maintenance.prune() == 0
    left = here.kit.query("SELECT id FROM corvo.nodes ORDER BY id")
    assert left == sorted([(here.engine.nodes.id,), (late.engine.nodes.id,)])
    counted = here.kit.query("SELECT writer, enqueued FROM corvo.queue_counts")
    assert sorted(counted) == sorted(
        [("", 1), *((writer_of(b.engine.nodes.id), 1) for b in (here, late))]
    )
    assert here.kit.count_rows("writers") == 2
    await silent.enqueue()  # the server was not killed after all, and counts again
    assert (await here.queue()).enqueued == 4
    await here.check_counters()


async def test_events_are_read_only_up_to_the_oldest_open_transaction(
    open_bench: OpenBench,
) -> None:
    """An open transaction with event ids delays the events with higher ids."""
    slow, quick = open_bench(**ALONE), open_bench(**ALONE)
    first = await quick.enqueue()
    session = slow.store._writer._session  # type: ignore[attr-defined]
    has_ids, gate, real = threading.Event(), threading.Event(), session._end

    def end(pipeline: Any, *args: Any) -> Any:
        pipeline.sync()
        has_ids.set()
        gate.wait()
        return real(pipeline, *args)

    session._end = end
    late = asyncio.ensure_future(slow.enqueue())
    await asyncio.to_thread(has_ids.wait)
    try:
        behind = await quick.enqueue()
        read = await quick.store.read_events(0, 100)
        assert [event.job_id for event in read] == [first]
        assert await quick.store.last_event_id() == read[-1].id
    finally:
        gate.set()
    read += await quick.store.read_events(read[-1].id, 100)
    late_id = await late
    read += await quick.store.read_events(read[-1].id, 100)
    assert [event.job_id for event in read] == [first, late_id, behind]
    assert [event.id for event in read] == sorted(event.id for event in read)


# Lost connections


def lose(bench: Bench) -> None:
    """Terminate the writer's session in the database."""
    connection = bench.store._writer._session._connection  # type: ignore[attr-defined]
    kit: PostgresKit = bench.kit  # type: ignore[assignment]
    with psycopg.connect(kit.url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))


async def test_a_lost_connection_loses_no_job(open_bench: OpenBench) -> None:
    bench = open_bench(**ALONE)
    job_ids = []
    for _ in range(5):
        job_ids.append(await bench.enqueue())
        await asyncio.to_thread(lose, bench)
    assert await bench.fetch_ids() == job_ids


@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "not committed"])
async def test_a_commit_whose_answer_is_lost_is_applied_once(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    bench = open_bench(**ALONE)
    await bench.enqueue("other")
    session = bench.store._writer._session  # type: ignore[attr-defined]
    real, request = session._end, Pipeline.request
    lost: list[Pipeline] = []

    class LostAtCommit:
        """A connection that is lost at COMMIT, before or after the database receives it."""

        statusmessage = None

        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def execute(self, statement: str, *args: Any) -> Any:
            if statement != "COMMIT":
                return self._connection.execute(statement, *args)
            if is_committed:
                self._connection.execute(statement)
            return self

    def end(pipeline: Any, *args: Any) -> Any:
        if lost:
            return real(pipeline, *args)
        lost.append(pipeline)
        connection = pipeline.connection
        pipeline.connection = LostAtCommit(connection)
        close_pipeline = pipeline.close

        def close() -> None:
            close_pipeline()
            connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(pipeline, "close", close)
        return real(pipeline, *args)

    def request_without_rows(pipeline: Pipeline, *args: Any) -> Rows:
        rows = request(pipeline, *args)

        def rows_unless_lost() -> list[Row]:
            if pipeline in lost:  # the rows of the other statements are lost as well
                raise psycopg.ProgrammingError("no result available")
            return rows()

        return rows_unless_lost

    monkeypatch.setattr(Pipeline, "request", request_without_rows)
    session._end = end
    job_id = await bench.enqueue()
    assert lost
    assert await bench.fetch_ids() == [job_id]
    assert bench.kit.count_jobs()["mail"] == {JobState.ACTIVE: 1}
    await bench.check_counters()


async def test_several_servers_can_start_at_the_same_time(postgres_databases: Any) -> None:
    url = postgres_databases.create()
    try:
        stores = await asyncio.gather(
            *(asyncio.to_thread(PostgresStore, url, **ALONE) for _ in range(4))
        )
        for store in stores:
            await store.close()
    finally:
        postgres_databases.drop(url)
