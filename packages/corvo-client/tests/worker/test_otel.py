"""Jobs store the span of their enqueue, and spans of attempts are linked to it."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from corvo_client import Client, EnqueueRequest
from corvo_client._trace import current_traceparent
from corvo_client.otel import tracing
from corvo_client.testing import RecordedJobs, recording
from corvo_client.worker import Cancel, Context, Retry, Snooze, Worker


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.fixture
def jobs() -> Iterator[RecordedJobs]:
    with recording() as jobs:
        yield jobs


@pytest.fixture
def worker(provider: TracerProvider) -> Worker:
    worker = Worker()
    worker.use(tracing(provider))
    return worker


def test_an_enqueue_sends_the_current_span(jobs: RecordedJobs, provider: TracerProvider) -> None:
    given = f"00-{'a' * 32}-{'b' * 16}-00"
    with Client() as client:
        client.enqueue("q")
        with provider.get_tracer("test").start_as_current_span("request") as span:
            client.enqueue("q")
            client.enqueue_batch([{"queue": "q"}, EnqueueRequest(queue="q")])
            client.enqueue("q", traceparent=given)
    where = span.get_span_context()
    carried = f"00-{where.trace_id:032x}-{where.span_id:016x}-{where.trace_flags:02x}"
    assert [job.traceparent for job in jobs.all] == [None, carried, carried, None, given]


def test_a_program_without_opentelemetry_does_not_load_it() -> None:
    code = (
        "import sys, corvo_client.worker\n"
        "from corvo_client.calls import enqueue_request\n"
        "assert enqueue_request('q').traceparent is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_attempt_is_a_consumer_span_linked_to_the_span_of_its_enqueue(
    jobs: RecordedJobs, worker: Worker, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = provider.get_tracer("test")

    @worker.task("q")
    def plain(context: Context) -> None:
        with tracer.start_as_current_span("inside"):
            pass

    with tracer.start_as_current_span("request") as request:
        plain.enqueue()
        jobs.drain(worker)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    attempt, inside = spans["process q"], spans["inside"]
    assert attempt.kind is SpanKind.CONSUMER
    assert attempt.parent is None
    (link,) = attempt.links
    assert link.context.span_id == request.get_span_context().span_id
    assert link.context.trace_id == request.get_span_context().trace_id
    assert link.context.is_remote
    assert attempt.context is not None
    assert attempt.context.trace_id != link.context.trace_id
    assert inside.parent is not None
    assert inside.parent.span_id == attempt.context.span_id
    assert dict(attempt.attributes or {}) == {
        "messaging.system": "corvo",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "q",
        "messaging.message.id": jobs.all[0].id,
        "corvo.job.attempt": 1,
        "corvo.job.max_retries": 3,
        "corvo.job.outcome": "completed",
    }
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize(
    ("do", "outcome", "status", "events"),
    [
        (lambda: "done", "completed", StatusCode.UNSET, []),
        (lambda: Snooze(60), "snoozed", StatusCode.UNSET, []),
        (lambda: Cancel("no"), "cancelled", StatusCode.UNSET, []),
        (lambda: Retry("busy"), "failed", StatusCode.ERROR, []),
        (lambda: 1 / 0, "failed", StatusCode.ERROR, ["exception"]),
    ],
)
def test_a_span_has_the_outcome_of_the_attempt(
    jobs: RecordedJobs,
    worker: Worker,
    exporter: InMemorySpanExporter,
    do: Any,
    outcome: str,
    status: StatusCode,
    events: list[str],
) -> None:
    @worker.task("q")
    async def task() -> Any:
        return do()

    task.enqueue()
    jobs.drain(worker, within=0)
    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["corvo.job.outcome"] == outcome
    assert span.status.status_code is status
    assert [event.name for event in span.events] == events
    assert span.links == ()


def test_a_span_has_the_interruption_of_the_attempt(
    jobs: RecordedJobs, worker: Worker, exporter: InMemorySpanExporter
) -> None:
    @worker.task("q")
    def task(context: Context) -> None:
        with Client() as client:
            client.cancel_job(context.id)
        context.raise_if_cancelled()

    task.enqueue()
    jobs.drain(worker)
    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["corvo.job.outcome"] == "interrupted: cancelled"
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    "traceparent", [f"00-{'0' * 32}-{'b' * 16}-01", "00-xyz-b7ad6b7169203331-01", "nonsense"]
)
def test_an_invalid_traceparent_is_not_linked(
    jobs: RecordedJobs, worker: Worker, exporter: InMemorySpanExporter, traceparent: str
) -> None:
    @worker.task("q")
    async def task() -> None: ...

    task.enqueue()
    jobs.all[0].traceparent = traceparent
    jobs.drain(worker)
    spans: tuple[ReadableSpan, ...] = exporter.get_finished_spans()
    assert [span.links for span in spans] == [()]


def test_opentelemetry_is_used_only_if_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert current_traceparent() is None
