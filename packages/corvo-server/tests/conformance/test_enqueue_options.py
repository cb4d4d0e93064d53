"""The options of an enqueue for its delay and its trace."""

from corvo_schema.states import JobState
from server_support.bench import Bench

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_delay_is_measured_by_the_clock_of_the_server(bench: Bench) -> None:
    job = await bench.enqueue(delay=90)
    head = await bench.head(job)
    assert (head.state, head.scheduled_at) == (JobState.SCHEDULED, bench.clock() + 90_000)


async def test_no_delay_means_at_once(bench: Bench) -> None:
    assert await bench.state(await bench.enqueue(delay=0)) is JobState.PENDING


async def test_trace_goes_with_the_job(bench: Bench) -> None:
    job = await bench.enqueue(traceparent=TRACE)
    assert (await bench.job(job)).traceparent == TRACE
    assert (await bench.fetch_one()).traceparent == TRACE
