"""Replies with many large jobs are limited in bytes."""

from collections.abc import AsyncIterator

import pytest

from corvo_schema import SearchRequest
from corvo_server.engine import jobs as engine_jobs
from corvo_server.engine.errors import CallError
from corvo_server.engine.search import Page
from corvo_server.store import sizes
from corvo_server.store.records import JobRecord
from corvo_server.store.search import page
from server_support.bench import Bench

LIMIT = 10_000


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_LARGEST_PAGE", LIMIT)
    monkeypatch.setattr(engine_jobs, "_MAX_BULK_GET_BYTES", LIMIT)


async def pages(bench: Bench, **fields: object) -> AsyncIterator[Page]:
    cursor = None
    while True:
        request = SearchRequest.model_validate({"limit": 1000, "cursor": cursor, **fields})
        found = await bench.engine.search.jobs(request)
        yield found
        cursor = found.cursor
        if cursor is None:
            return


def bytes_of(record: JobRecord) -> int:
    documents = (record.payload, record.checkpoint, record.result, record.progress, record.tags)
    errors = (text for each in record.failures for text in (each.error, each.backtrace))
    return sum(len(text.encode()) for text in (*documents, *errors) if text is not None)


async def make_large_jobs(bench: Bench) -> list[str]:
    """Make jobs that are large for different reasons. Return their ids."""
    ids = []
    for number in range(6):
        job = await bench.start(payload="ä" * 700, queue=f"q{number}", tags={"a": "t" * 500})
        await bench.heartbeat(job, progress={"message": "p" * 500}, checkpoint="c" * 1500)
        if number % 2:
            await bench.fail(job, "e" * 1500, backtrace="b" * 2500, retry=False)
        else:
            await bench.ack(job, result="r" * 2000)
        ids.append(job.head.id)
    ids += [await bench.enqueue(payload="x" * 3 * LIMIT), await bench.enqueue()]
    return ids


@pytest.mark.parametrize("sort", ["created_at", "completed_at"])
async def test_page_of_large_jobs_ends_early(bench: Bench, sort: str) -> None:
    ids = await make_large_jobs(bench)
    found = [page async for page in pages(bench, sort=sort)]
    assert sorted(job.head.id for page in found for job in page.jobs) == sorted(ids)
    assert len(found) >= 5
    assert {each.total.jobs for each in found} == {len(ids)}
    for each in found:
        assert sum(map(bytes_of, each.jobs)) <= LIMIT or len(each.jobs) == 1


async def test_page_counts_documents_as_the_reply_has_them(bench: Bench) -> None:
    ids = await make_large_jobs(bench)
    stored = [await bench.job(job_id) for job_id in ids]
    found = [page async for page in pages(bench, order="asc")]
    rest = [len(each.jobs) for each in found]
    expected: list[int] = []
    total = LIMIT + 1
    for record in stored:
        size = bytes_of(record)
        total += size
        if total > LIMIT:
            expected.append(0)
            total = size
        expected[-1] += 1
    assert rest == expected


async def test_bulk_get_of_too_many_bytes_is_refused(bench: Bench) -> None:
    ids = await make_large_jobs(bench)
    with pytest.raises(CallError, match="Ask for fewer jobs at once") as refused:
        await bench.engine.jobs.bulk_get(ids)
    assert refused.value.code == "PAYLOAD_TOO_LARGE"
    got = [await bench.engine.jobs.bulk_get([job_id, "nobody"]) for job_id in ids]
    assert [job.head.id for jobs in got for job in jobs] == ids


async def test_only_the_newest_errors_of_a_job_are_read(bench: Bench) -> None:
    await bench.enqueue(max_retries=100, retry_backoff="none", retry_base_delay="0s")
    for number in range(20):
        await bench.tick(1)
        job = await bench.fetch_one()
        await bench.fail(job, f"{number:>16000}", backtrace="b" * 64_000)
    failures = (await bench.job(job)).failures
    assert [each.attempt for each in failures] == list(range(7, 21))
    (found,) = [page async for page in pages(bench)]
    assert found.jobs[0].failures == failures


async def test_only_the_newest_events_of_a_job_are_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await bench.start()
    for number in range(80):
        await bench.heartbeat(job, progress={"message": f"{number:>60000}"})
        bench.clock.forward(10_000)  # progress is an event once in ten seconds
    await bench.ack(job)
    events = (await bench.job(job)).events
    assert sum(len(event.data or "") for event in events) < sizes.MAX_TIMELINE + 64 * 1024
    assert [event.type for event in events] == ["progress"] * (len(events) - 1) + ["completed"]
    assert len(events) > 60
    assert [event.id for event in events] == sorted(event.id for event in events)
