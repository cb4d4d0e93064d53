"""The conditions under which tracing is on, and the choice of the exporter."""

import logging
import subprocess
import sys
from typing import Any

import pytest

from corvo_server import tracing
from corvo_server.tracing import start_tracing

VARIABLES = (
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_SERVICE_NAME",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_nothing_is_loaded_while_tracing_is_off() -> None:
    code = (
        "import sys, corvo_server.serve\n"
        "from corvo_server.tracing import start_tracing\n"
        "assert start_tracing() is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"},
        {"OTEL_SDK_DISABLED": " True ", "OTEL_TRACES_EXPORTER": "console"},
    ],
)
def test_tracing_is_off(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    monkeypatch.setattr(tracing, "_provider_of_the_process", lambda: None)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert start_tracing() is None


@pytest.mark.parametrize(
    ("environment", "exporter"),
    [
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp_proto_http"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, "otlp_proto_http"),
        (
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4317",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            },
            "otlp_proto_grpc",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            "otlp_proto_grpc",
        ),
    ],
)
def test_exporter_is_chosen_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], exporter: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert tracing._wanted_exporter() == exporter


def test_missing_exporter_is_logged_and_the_server_starts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("opentelemetry.sdk")
    monkeypatch.setattr(tracing, "_provider_of_the_process", lambda: None)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
    assert start_tracing() is None
    assert "no installed package provides the exporter 'carrier-pigeon'" in caplog.text
    assert "corvo-server[otel]" in caplog.text


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The exporter that the environment names. It stores the spans."""
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter = memory.InMemorySpanExporter()

    class Point:
        def load(self) -> Any:
            return lambda: exporter

    def entry_points(*, group: str, name: str) -> list[Point]:
        assert (group, name) == ("opentelemetry_traces_exporter", "console")
        return [Point()]

    monkeypatch.setattr(tracing, "entry_points", entry_points)
    monkeypatch.setattr(tracing, "_provider_of_the_process", lambda: None)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    return exporter


@pytest.mark.parametrize("name", [None, "jobs-of-the-shop"])
def test_spans_have_the_name_of_the_service(
    exporter: Any, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    if name is not None:
        monkeypatch.setenv("OTEL_SERVICE_NAME", name)
    started = start_tracing()
    assert started is not None
    with started._tracer.start_as_current_span("a span"):
        pass
    started.close()
    (span,) = exporter.get_finished_spans()
    assert span.resource.attributes["service.name"] == (name or "corvo-server")
    assert span.instrumentation_scope.name == "corvo_server"


def test_existing_provider_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    assert tracing._provider_of_the_process() is None
    provider = TracerProvider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    started = start_tracing()
    assert started is not None
    started.close()
    assert logging.getLogger("corvo_server.tracing")
