"""The connection is lost during a COMMIT, and the database is away for shorter or longer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from corvo_schema import new_job_id
from corvo_schema.states import JobState
from corvo_server.store.postgres import session
from corvo_server.store.postgres.notifications import Notification
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL
from corvo_server.store.postgres.store import PostgresStore
from corvo_server.store.protocol import OutcomeUnknown
from corvo_server.store.records import Unchanged
from server_support.bench import QUEUE, Bench, turns
from server_support.clock import ManualClock
from server_support.cuts import CutProxy
from server_support.kits import PostgresKit


@pytest.fixture
def proxy(postgres_url: str) -> Iterator[CutProxy]:
    with CutProxy(postgres_url) as proxy:
        yield proxy


@pytest.fixture
async def bench(
    postgres_url: str, proxy: CutProxy, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    """A server that reaches its database through the proxy and asks for an outcome only once."""
    monkeypatch.setattr(session, "_OUTCOME_TIMEOUT", -1.0)
    monkeypatch.setattr(session, "_RECONNECT_EVERY", 0.0)
    store = PostgresStore(proxy.url, notify=False, poll_seconds=0)
    bench = Bench(PostgresKit(postgres_url), store, clock)
    yield bench
    proxy.restore()
    await bench.check_counters()
    await store.close()


@contextmanager
def at_commit(bench: Bench, cut: Callable[[], object], after: int = 0) -> Iterator[None]:
    """Call `cut` before the next COMMIT of a server, after it has made `after` other commits."""
    writer: Any = bench.store._writer._session  # type: ignore[attr-defined]
    real = writer._end

    def end(pipeline: Pipeline, *args: Any) -> Any:
        nonlocal after
        pipeline.sync()  # the statements before the COMMIT have arrived
        if after == 0:
            cut()
        after -= 1
        return real(pipeline, *args)

    writer._end = end
    try:
        yield
    finally:
        writer._end = real


def lose_answers(proxy: CutProxy, *, is_away: bool) -> Callable[[], None]:
    def cut() -> None:
        proxy.loses_answers, proxy.is_away = True, is_away

    return cut


def lose_requests(proxy: CutProxy, *, is_away: bool) -> Callable[[], None]:
    def cut() -> None:
        proxy.loses_requests, proxy.is_away = True, is_away

    return cut


@contextmanager
def back_at(bench: Bench, proxy: CutProxy, step: str = "_has_committed") -> Iterator[None]:
    """Restore the network before the session calls its method `step`."""
    writer: Any = bench.store._writer._session  # type: ignore[attr-defined]
    real = getattr(writer, step)

    def restore_first(*args: Any) -> Any:
        proxy.restore()
        return real(*args)

    setattr(writer, step, restore_first)
    try:
        yield
    finally:
        setattr(writer, step, real)


@pytest.mark.parametrize("lose", [lose_answers, lose_requests])
async def test_commit_of_unknown_outcome_is_reported_to_every_caller(
    bench: Bench, proxy: CutProxy, lose: Callable[..., Callable[[], None]]
) -> None:
    job = await bench.start()
    job_id = new_job_id()
    # The commit that holds the others back is the first one.
    with at_commit(bench, lose(proxy, is_away=True), after=1):
        with bench.kit.hold_commits(bench.store):
            calls = [bench.try_enqueue(job_id=job_id), bench.ack(job), bench.fetch("other")]
            tasks = [asyncio.ensure_future(call) for call in calls]
            await turns()
        failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in failed] == [OutcomeUnknown] * 3
    proxy.restore()
    is_stored = lose is lose_answers
    assert (await bench.try_enqueue(job_id=job_id)).is_new is not is_stored
    assert isinstance(await bench.ack(job), Unchanged) is is_stored
    assert await bench.state(job.head.id) is JobState.COMPLETED
    assert (await bench.queue()).enqueued == 2
    bench.kit.check_memory(bench.store)


@pytest.mark.parametrize("lose", [lose_answers, lose_requests])
async def test_outcome_is_found_when_the_database_is_back_in_time(
    bench: Bench, proxy: CutProxy, lose: Callable[..., Callable[[], None]]
) -> None:
    with at_commit(bench, lose(proxy, is_away=True)), back_at(bench, proxy):
        await bench.enqueue()
    assert (await bench.queue()).enqueued == 1


async def test_outcome_is_not_taken_for_that_of_an_earlier_unknown_commit(
    bench: Bench, proxy: CutProxy
) -> None:
    with (
        at_commit(bench, lose_answers(proxy, is_away=True)),
        pytest.raises(OutcomeUnknown),
    ):
        await bench.enqueue()
    proxy.restore()
    job_id = new_job_id()
    with at_commit(bench, lose_requests(proxy, is_away=False)), back_at(bench, proxy):
        await bench.try_enqueue(job_id=job_id)
    assert await bench.state(job_id) is JobState.PENDING
    assert (await bench.queue()).enqueued == 2


async def test_outcome_is_unknown_without_the_row_of_the_writer(
    bench: Bench, proxy: CutProxy
) -> None:
    await bench.enqueue()

    def lose_and_forget() -> None:
        proxy.loses_requests = True

    with at_commit(bench, lose_and_forget), back_at(bench, proxy):
        writer: Any = bench.store._writer._session  # type: ignore[attr-defined]
        asked = writer._has_committed

        def delete_row(number: int) -> bool:
            bench.kit.query("DELETE FROM writers RETURNING id")
            return bool(asked(number))

        writer._has_committed = delete_row
        with pytest.raises(OutcomeUnknown, match="no row of this writer"):
            await bench.enqueue()
        writer._has_committed = asked
    await bench.enqueue()
    assert (await bench.queue()).enqueued == 2


async def test_outcome_is_unknown_if_the_question_is_refused(
    bench: Bench, proxy: CutProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQL, "read_commit_number", "SELECT commits FROM nothing WHERE id = %s")
    calls = [bench.enqueue(), bench.enqueue()]
    with at_commit(bench, lose_answers(proxy, is_away=False)), back_at(bench, proxy):
        failed = await asyncio.gather(*calls, return_exceptions=True)
    assert OutcomeUnknown in {type(error) for error in failed}
    assert (await bench.queue()).enqueued == 2


async def test_commit_succeeds_although_its_notification_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.store._writer._session._channel = "corvo_news"  # type: ignore[attr-defined]
    monkeypatch.setattr(Notification, "write", lambda _: "x" * 9_000)
    await bench.enqueue()
    assert (await bench.queue()).enqueued == 1


async def test_commit_without_writes_is_retried(bench: Bench, proxy: CutProxy) -> None:
    await bench.enqueue("other")
    cut = lose_answers(proxy, is_away=False)
    with at_commit(bench, cut), back_at(bench, proxy, "may_retry"):
        assert await bench.fetch(QUEUE) == []


async def test_commit_that_the_database_rolls_back_is_not_answered_as_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer: Any = bench.store._writer._session  # type: ignore[attr-defined]
    real = writer._end

    def roll_back_first(pipeline: Pipeline, *args: Any) -> Any:
        pipeline.sync()
        execute = pipeline.connection.execute
        with monkeypatch.context() as patch:
            patch.setattr(
                pipeline.connection,
                "execute",
                lambda text, *values: execute(text.replace("COMMIT", "ROLLBACK"), *values),
            )
            return real(pipeline, *args)

    writer._end = roll_back_first
    with pytest.raises(Exception, match="answered with ROLLBACK"):
        await bench.enqueue()
    writer._end = real
    await bench.enqueue()
    assert (await bench.queue()).enqueued == 1
