"""Spans for the verbs of the engine and for commits. Loaded only if tracing is enabled."""

import functools
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from corvo_server.engine.engine import Engine
from corvo_server.engine.errors import CallError
from corvo_server.engine.verbs import Part
from corvo_server.store.records import Commit

T = TypeVar("T")

_ROOT = Context()


def trace_engine(engine: Engine, tracer: Tracer) -> None:
    """Record a span `corvo.<part>.<verb>` for each later call of a verb, below the current span."""
    parts: dict[str, Part] = {
        "jobs": engine.jobs,
        "attempts": engine.attempts,
        "workers": engine.workers,
        "queues": engine.queues,
        "batches": engine.batches,
        "schedules": engine.schedules,
        "bulk": engine.bulk,
        "search": engine.search,
        "keys": engine.keys,
        "audit": engine.audit,
        "webhooks": engine.webhooks,
        "webhook_sources": engine.webhook_sources,
        "maintenance": engine.maintenance,
    }
    for name, part in parts.items():
        # The server itself calls the verbs of maintenance; all others serve a caller.
        kind = SpanKind.INTERNAL if part is engine.maintenance else SpanKind.SERVER
        part.trace = _Trace(tracer, f"corvo.{name}", kind)
    engine.store.on_commit(functools.partial(_note_commit, tracer))


class _Trace:
    """Implements `engine.verbs.Trace` for one part of an engine."""

    def __init__(self, tracer: Tracer, prefix: str, kind: SpanKind) -> None:
        self._tracer = tracer
        self._prefix = prefix
        self._kind = kind

    async def __call__(self, name: str, call: Callable[[], Awaitable[T]], /) -> T:
        with self._tracer.start_as_current_span(
            f"{self._prefix}.{name}",
            kind=self._kind,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return await call()
            except CallError as error:
                # A refused call is not an error of the server, unless its status is 500 or more.
                span.set_attribute("error.type", error.code.value)
                if error.code.http_status >= 500:
                    span.set_status(Status(StatusCode.ERROR, error.message))
                raise
            except Exception as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
                span.record_exception(error)
                raise


def _note_commit(tracer: Tracer, commit: Commit) -> None:
    # The hook runs after the commit. Many verbs share a commit, so its span is a root span.
    ended = time.time_ns()
    span = tracer.start_span(
        "corvo.commit",
        context=_ROOT,
        start_time=ended - round(commit.seconds * 1e9),
        attributes={
            "corvo.commit.operations": commit.operations,
            "corvo.commit.events": len(commit.events),
        },
    )
    span.end(ended)
