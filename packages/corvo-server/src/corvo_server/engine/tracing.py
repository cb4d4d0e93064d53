"""A span for each verb of the engine and for each commit. Loaded only where tracing is on."""

import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from corvo_server.engine.engine import Engine
from corvo_server.engine.errors import CallError
from corvo_server.store.records import Commit

_PARTS = (
    "jobs",
    "worker",
    "workers",
    "queues",
    "batches",
    "schedules",
    "bulk",
    "search",
    "maintenance",
)
_NO_VERBS = frozenset({"next_times", "next_occurrence"})
"""What services ask to know when to wake."""

_ROOT = Context()

Verb = Callable[..., Awaitable[Any]]


def trace_engine(engine: Engine, tracer: Tracer) -> None:
    """Make each later call of a verb a span `corvo.<part>.<verb>`, below whatever span there is."""
    for part_name in _PARTS:
        part = getattr(engine, part_name)
        for name, verb in _verbs(type(part)):
            kind = SpanKind.INTERNAL if part_name == "maintenance" else SpanKind.SERVER
            traced = _traced(tracer, f"corvo.{part_name}.{name}", kind, getattr(part, name))
            # On the object itself: an engine that is not traced has its methods as they are.
            setattr(part, name, functools.update_wrapper(traced, verb))
    engine.store.on_commit(functools.partial(_note_commit, tracer))


def _verbs(kind: type) -> list[tuple[str, Callable[..., Any]]]:
    return [
        (name, method)
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") and name not in _NO_VERBS and _is_awaitable(method)
    ]


def _is_awaitable(method: Callable[..., Any]) -> bool:
    answer = str(inspect.signature(method).return_annotation)
    return inspect.iscoroutinefunction(method) or "Future[" in answer


def _traced(tracer: Tracer, name: str, kind: SpanKind, verb: Verb) -> Verb:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with tracer.start_as_current_span(
            name, kind=kind, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                return await verb(*args, **kwargs)
            except CallError as error:
                # A refusal is an answer; only what is the server's own fault is an error.
                span.set_attribute("error.type", error.code.value)
                if error.code.http_status >= 500:
                    span.set_status(Status(StatusCode.ERROR, error.message))
                raise
            except Exception as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
                span.record_exception(error)
                raise

    return call


def _note_commit(tracer: Tracer, commit: Commit) -> None:
    # It is heard of when it is done; many verbs share it, so it is a trace of its own.
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
