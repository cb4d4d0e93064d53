"""What a front-end asks of the writer, and what comes back: as if the engine were at hand."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from corvo_schema import FetchRequest, IdFactory
from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import AnswerLost, CallError
from corvo_server.engine.jobs import Jobs
from corvo_server.engine.notifier import Notifier
from corvo_server.engine.worker import Ack, Fail, Heartbeat, Release
from corvo_server.processes.core import Core
from corvo_server.processes.remote import RemoteWorker, Writer, WriterFailedError
from corvo_server.processes.wire import Sample
from corvo_server.store.protocol import StoreOverloaded
from corvo_server.store.records import LeasedJob, Refusal
from server_support.bench import QUEUE, Bench, make_job
from server_support.waiting import wait_until

pytestmark = pytest.mark.sqlite

SAMPLES = [Sample("corvo_http_requests_total", {"route": "/x"}, 2.0)]


class Pair:
    """A front-end and the writer's side of it, in one process."""

    def __init__(self, bench: Bench, path: str) -> None:
        self._path = path
        self.bench = bench
        self.core = Core(bench.engine)
        self.writer = Writer(path, lambda: SAMPLES)
        self.worker = RemoteWorker(self.writer)
        self.jobs = Jobs(
            self.writer,  # type: ignore[arg-type]
            bench.clock,
            IdFactory(bench.clock),
            Notifier(self.writer.give_back),
            max_payload_bytes=1000,
        )

    async def start(self) -> None:
        """Listen, and link."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self.core.accept, self._path)
        linked = asyncio.Event()
        self._link = asyncio.create_task(self.writer.stay_linked(linked.set))
        await linked.wait()

    async def cut(self) -> None:
        """What the death of the writer is to the front-end."""
        self._server.close()
        await self.core.wait_until_alone(0)

    async def stop(self) -> None:
        """Hang up."""
        self._link.cancel()
        self.writer.unlink()
        self._server.close()
        assert await self.core.wait_until_alone(10) == 0

    async def fetch(self, wait: int = 0) -> list[LeasedJob]:
        """One job, at the front-end; `wait` in seconds."""
        asked = {"queues": [QUEUE], "worker_id": "w", "timeout": wait}
        return await self.worker.fetch(FetchRequest.model_validate(asked), 1)

    async def see_waiting(self, fetches: int) -> None:
        """Return once so many fetches wait at the writer."""
        await wait_until(lambda: self.bench.engine.notifier.waiting == fetches, "the fetches")


@pytest.fixture
async def pair(bench: Bench) -> AsyncIterator[Pair]:
    with tempfile.TemporaryDirectory() as home:  # whose path is short
        pair = Pair(bench, str(Path(home) / "calls"))
        await pair.start()
        yield pair
        await pair.stop()


async def test_a_job_goes_its_way(pair: Pair) -> None:
    enqueued = await pair.jobs.enqueue(*make_job(payload={"a": 1}))
    assert enqueued.is_new
    (job,) = await pair.fetch()
    assert (job.head.id, job.payload) == (enqueued.job_id, '{"a":1}')
    token = job.head.lease_token
    (beaten,) = await pair.worker.heartbeat([Heartbeat(job.head.id, token, None, None)], "w")
    assert not isinstance(beaten, Refusal)
    (released,) = await pair.worker.release([Release(job.head.id, token, 0, None)])
    assert not isinstance(released, Refusal)
    (job,) = await pair.fetch()
    (failed,) = await pair.worker.fail([Fail(job.head.id, job.head.lease_token, "no", None)])
    assert not isinstance(failed, Refusal)
    assert failed.job.failed_at is not None
    (acked,) = await pair.worker.ack([Ack(job.head.id, "another", None)])
    assert isinstance(acked, Refusal)
    assert acked.code is ErrorCode.LEASE_LOST


@pytest.mark.parametrize("policy", ["ignore", "replace", "reschedule"])
async def test_a_policy_for_duplicates_goes_over(pair: Pair, policy: str) -> None:
    first = await pair.jobs.enqueue(*make_job(unique_key="k", payload=1))
    again = make_job(unique_key="k", payload=2, on_conflict=policy, delay="1h")
    assert (await pair.jobs.enqueue(*again)).job_id == first.job_id
    record = await pair.bench.engine.jobs.get(first.job_id)
    assert record.payload == ("2" if policy == "replace" else "1")
    assert (record.head.state.value == "scheduled") == (policy != "ignore")


async def test_a_refused_duplicate_is_refused(pair: Pair) -> None:
    await pair.jobs.enqueue(*make_job(unique_key="k"))
    with pytest.raises(CallError) as refused:
        await pair.jobs.enqueue(*make_job(unique_key="k", on_conflict="error"))
    assert refused.value.code is ErrorCode.INVALID_STATE


async def test_a_document_that_is_too_large_is_refused_with_its_place(pair: Pair) -> None:
    with pytest.raises(CallError) as refused:
        await pair.worker.ack([Ack("job_1", None, "x" * 2**21)], "acks[{}].")
    assert refused.value.code is ErrorCode.PAYLOAD_TOO_LARGE
    assert refused.value.details[0][0] == "acks[0].result"


async def test_errors_of_the_store_are_what_they_are(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(pair.bench.store, "enqueue", fail)
    error: Exception = StoreOverloaded("7 writes are waiting")
    with pytest.raises(StoreOverloaded, match="7 writes are waiting"):
        await pair.jobs.enqueue(*make_job())
    error = RuntimeError("a bug")
    with pytest.raises(WriterFailedError, match="RuntimeError: a bug"):
        await pair.jobs.enqueue(*make_job())


async def test_a_waiting_fetch_gets_a_job_that_comes(pair: Pair) -> None:
    fetch = asyncio.create_task(pair.fetch(60))
    await pair.see_waiting(1)
    enqueued = await pair.jobs.enqueue(*make_job())
    (job,) = await fetch
    assert job.head.id == enqueued.job_id


async def test_a_fetch_whose_client_goes_away_leaves_the_line(pair: Pair) -> None:
    fetch = asyncio.create_task(pair.fetch(60))
    await pair.see_waiting(1)
    fetch.cancel()
    await pair.see_waiting(0)


async def test_a_job_on_its_way_to_a_client_that_went_away_is_given_back(pair: Pair) -> None:
    fetch = asyncio.create_task(pair.fetch(60))
    await pair.see_waiting(1)
    enqueued = await pair.bench.engine.jobs.enqueue(*make_job())
    fetch.cancel()  # the job is claimed by now, and the answer not read
    with pytest.raises(asyncio.CancelledError):
        await fetch
    (job,) = await pair.fetch(60)
    assert (job.head.id, job.head.attempt) == (enqueued.job_id, 1)


async def test_fetches_are_sent_home_and_later_ones_do_not_wait(pair: Pair) -> None:
    fetch = asyncio.create_task(pair.fetch(60))
    await pair.see_waiting(1)
    pair.worker.send_home()
    assert await fetch == []
    assert await pair.fetch(60) == []


async def test_calls_that_were_under_way_when_the_writer_died_are_lost(pair: Pair) -> None:
    fetch = asyncio.create_task(pair.fetch(60))
    await pair.see_waiting(1)
    await pair.cut()
    with pytest.raises(AnswerLost):
        await fetch
    with pytest.raises(CallError) as refused:
        await pair.jobs.enqueue(*make_job())
    assert refused.value.code is ErrorCode.UNAVAILABLE
    assert refused.value.retry_after == 1


async def test_requests_are_counted_where_they_are_scraped(pair: Pair) -> None:
    metrics = pair.bench.engine.metrics
    await metrics.gather()
    assert b'corvo_http_requests_total{route="/x"} 2.0' in metrics.render([], 0)
    await pair.cut()  # what it had counted stays
    await metrics.gather()
    assert b'corvo_http_requests_total{route="/x"} 2.0' in metrics.render([], 0)
