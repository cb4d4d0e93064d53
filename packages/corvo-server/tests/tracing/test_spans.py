"""Each verb and each commit is a span if tracing is on."""

import inspect
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from corvo_schema.errors import ErrorCode
from corvo_server.engine.attempts import Attempts
from corvo_server.engine.engine import Engine
from corvo_server.engine.errors import CallError
from corvo_server.engine.tracing import trace_engine
from corvo_server.engine.verbs import Part
from corvo_server.tracing import Tracing
from server_support import http
from server_support.bench import Bench

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"


class Spans:
    """The recorded spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("test")

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
def traced(bench: Bench, spans: Spans) -> Bench:
    trace_engine(bench.engine, spans.tracer)
    return bench


async def test_verbs_and_commits_are_spans(traced: Bench, spans: Spans) -> None:
    job = await traced.start()
    await traced.ack(job)
    await traced.engine.queues.list()
    await traced.engine.maintenance.promote()
    for name in ("jobs.enqueue", "attempts.fetch", "attempts.ack", "queues.list"):
        (span,) = spans.named(f"corvo.{name}")
        assert span.kind is SpanKind.SERVER
        assert span.status.status_code is StatusCode.UNSET
        assert span.parent is None
    (promote,) = spans.named("corvo.maintenance.promote")
    assert promote.kind is SpanKind.INTERNAL
    commits = spans.named("corvo.commit")
    assert len(commits) == len(traced.commits)
    assert [span.attributes["corvo.commit.operations"] for span in commits if span.attributes] == [
        commit.operations for commit in traced.commits
    ]
    for span, commit in zip(commits, traced.commits, strict=True):
        assert span.start_time is not None
        assert span.end_time is not None
        assert (span.end_time - span.start_time) / 1e9 == pytest.approx(commit.seconds, abs=1e-6)


async def test_span_of_a_verb_is_a_child_of_the_current_span(traced: Bench, spans: Spans) -> None:
    with spans.tracer.start_as_current_span("request") as request:
        await traced.enqueue()
    (span,) = spans.named("corvo.jobs.enqueue")
    assert span.parent is not None
    assert span.parent.span_id == request.get_span_context().span_id


async def test_refusals_are_not_errors_and_bugs_are(
    traced: Bench, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CallError):
        await traced.engine.jobs.get("job_x")
    (span,) = spans.named("corvo.jobs.get")
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {"error.type": "NOT_FOUND"}

    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(traced.store, "find_job", broken)
    with pytest.raises(ZeroDivisionError):
        await traced.engine.jobs.get("job_x")
    span = spans.named("corvo.jobs.get")[1]
    assert (span.status.status_code, span.status.description) == (
        StatusCode.ERROR,
        "ZeroDivisionError: a bug",
    )
    assert [event.name for event in span.events] == ["exception"]


async def test_failure_of_the_server_is_an_error(
    traced: Bench, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(*_: Any) -> Any:
        raise CallError(ErrorCode.UNAVAILABLE, "the disk is full")

    monkeypatch.setattr(traced.store, "find_job", unavailable)
    with pytest.raises(CallError):
        await traced.engine.jobs.get("job_x")
    (span,) = spans.named("corvo.jobs.get")
    assert (span.status.status_code, span.status.description) == (
        StatusCode.ERROR,
        "the disk is full",
    )


NOT_VERBS = {"next_times", "next_occurrence", "note_stop", "has_served"}
"""Coroutines that are not verbs: they tell services when to wake, or are parts of other verbs."""


def parts_of(engine: Engine) -> dict[str, Part]:
    return {name: part for name, part in vars(engine).items() if isinstance(part, Part)}


def test_every_coroutine_of_a_part_is_a_verb(engine: Engine) -> None:
    for name, part in parts_of(engine).items():
        for method_name, method in inspect.getmembers(type(part), inspect.isfunction):
            if method_name.startswith("_") or method_name in NOT_VERBS:
                continue
            verb = inspect.unwrap(method)
            if inspect.iscoroutinefunction(verb):
                assert method is not verb, f"{name}.{method_name} lacks @verb"
    for verb_name in ("ack", "fail", "release"):  # return futures
        assert hasattr(getattr(Attempts, verb_name), "__wrapped__")


def test_every_part_is_traced(bench: Bench, spans: Spans) -> None:
    parts = parts_of(bench.engine)
    assert len(parts) == 13
    assert all(part.trace is None for part in parts.values())
    trace_engine(bench.engine, spans.tracer)
    assert all(part.trace is not None for part in parts.values())


async def test_spans_of_requests_are_children_of_their_callers(
    bench: Bench, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = http.build_http

    def build_traced(*arguments: Any) -> Any:
        app, requests = build(*arguments)
        Tracing(spans.tracer, lambda: None).watch(bench.engine, app)
        return app, requests

    monkeypatch.setattr(http, "build_http", build_traced)
    caller = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
    async with http.serve(bench.engine) as server:
        connection = await server.connect()
        for headers in (caller, {}, caller):
            await connection.send(http.request("GET", "/api/v1/queues", headers=headers))
            assert (await connection.receive()).status == 200
    first, second, third = spans.named("corvo.queues.list")
    assert first.parent is not None
    assert f"{first.parent.trace_id:032x}" == TRACE_ID
    assert f"{first.parent.span_id:016x}" == SPAN_ID
    assert second.parent is None
    assert third.parent == first.parent
    assert trace.get_current_span() is trace.INVALID_SPAN
