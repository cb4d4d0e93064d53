"""OpenTelemetry spans for attempts. Needs `pip install "corvo-client[otel]"`.

A job stores the span in which it was enqueued. `worker.use(tracing())` starts a new trace for each
attempt and links it to that span, because a job may run much later and more than once.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

try:
    import opentelemetry.trace  # noqa: F401
except ModuleNotFoundError as error:
    error.add_note('Run: pip install "corvo-client[otel]"')
    raise

from opentelemetry.context import Context as TraceContext
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TracerProvider,
    get_tracer,
)

from corvo_client.__about__ import __version__
from corvo_client.worker import CallNext, Cancel, Context, Middleware, Retry, Snooze


def tracing(tracer_provider: TracerProvider | None = None) -> Middleware:
    """Return middleware that runs each attempt in a CONSUMER span `process <queue>`.

    The default provider is the global one. Spans of the handler become children of this span, in
    threads too, but not with `executor="process"`. A failure sets the span's status to ERROR.
    `Snooze` and `Cancel` are no failures; the attribute `corvo.job.outcome` names them.
    """
    tracer: Tracer | None = None

    async def trace_attempt(context: Context, call_next: CallNext) -> Any:
        nonlocal tracer
        if tracer is None:  # not earlier: the program may set its provider after this call
            tracer = get_tracer("corvo_client", __version__, tracer_provider)
        with tracer.start_as_current_span(
            f"process {context.queue}",
            context=TraceContext(),
            kind=SpanKind.CONSUMER,
            links=_links(context.traceparent),
            attributes={
                "messaging.system": "corvo",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": context.queue,
                "messaging.message.id": context.id,
                "corvo.job.attempt": context.attempt,
                "corvo.job.max_retries": context.max_retries,
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                result = await call_next()
            except (Exception, asyncio.CancelledError, SystemExit) as error:
                _note(span, context, error)
                raise
            _note(span, context, result)
            return result

    return trace_attempt


def _note(span: Span, context: Context, result: Any) -> None:
    """Record on the span what the handler returned or raised."""
    match result:
        case Snooze():
            outcome = "snoozed"
        case Cancel():
            outcome = "cancelled"
        case Retry():
            outcome = "failed"
            span.set_status(Status(StatusCode.ERROR, result.reason))
        case asyncio.CancelledError() if context.interruption is not None:
            outcome = f"interrupted: {context.interruption}"
        case BaseException():
            outcome = "failed"
            span.record_exception(result)
            span.set_attribute("error.type", type(result).__qualname__)
            span.set_status(Status(StatusCode.ERROR, f"{type(result).__name__}: {result}"))
        case _:
            outcome = "completed"
    span.set_attribute("corvo.job.outcome", outcome)


def _links(traceparent: str | None) -> Sequence[Link]:
    parts = (traceparent or "").split("-")
    if len(parts) < 4:
        return ()
    try:
        trace_id, span_id, flags = (int(part, 16) for part in parts[1:4])
    except ValueError:
        return ()
    enqueuer = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return (Link(enqueuer),) if enqueuer.is_valid else ()
