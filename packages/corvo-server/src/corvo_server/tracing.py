"""OpenTelemetry tracing, configured by `OTEL_*` variables. Without them, nothing is loaded."""

import logging
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from corvo_server.__about__ import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from corvo_server.engine.engine import Engine
    from corvo_server.http.endpoint import App

log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_OTLP = {"grpc": "otlp_proto_grpc"}
_OTLP_DEFAULT = "otlp_proto_http"


class Tracing:
    """Traces an engine and its HTTP application."""

    def __init__(self, tracer: "Tracer", close: Callable[[], object]) -> None:
        self._tracer = tracer
        self.close = close
        """Send the buffered spans. This may take seconds."""

    def watch(self, engine: "Engine", app: "App") -> None:
        """Trace the verbs of `engine`. Requests of `app` continue the traces of their callers."""
        from corvo_server.engine.tracing import trace_engine  # noqa: PLC0415
        from corvo_server.http.tracing import install_propagation  # noqa: PLC0415

        trace_engine(engine, self._tracer)
        install_propagation(app)


def start_tracing() -> Tracing | None:
    """Start tracing if the environment or a provider of this process configures it, else None."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    provider = _provider_of_the_process()
    if provider is not None:
        return Tracing(provider.get_tracer("corvo_server", __version__), lambda: None)
    name = _wanted_exporter()
    if name is None:
        return None
    try:
        provider = _make_provider(name)
    except (ImportError, LookupError) as error:
        log.warning(
            "tracing is off: OTEL_* variables configure it, but its exporter cannot be loaded "
            '(%s). Install it with: pip install "corvo-server[otel]"',
            error,
        )
        return None
    log.info("tracing with the exporter %s", name)
    return Tracing(provider.get_tracer("corvo_server", __version__), provider.shutdown)


def _provider_of_the_process() -> Any:
    """Return the provider that e.g. `opentelemetry-instrument` has set up; None without one."""
    sdk, api = sys.modules.get("opentelemetry.sdk.trace"), sys.modules.get("opentelemetry.trace")
    if sdk is None or api is None:
        return None
    provider = api.get_tracer_provider()
    return provider if isinstance(provider, sdk.TracerProvider) else None


def _wanted_exporter() -> str | None:
    name = os.environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if not name and not any(os.environ.get(variable) for variable in _ENDPOINTS):
        return None
    if name == "none":
        return None
    if name and name != "otlp":
        return name
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", ""
    )
    return _OTLP.get(protocol, _OTLP_DEFAULT)


def _make_provider(exporter: str) -> Any:
    """Return a provider that exports in the background. Raise LookupError without the exporter."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    found = entry_points(group="opentelemetry_traces_exporter", name=exporter)
    if not found:
        raise LookupError(f"no installed package provides the exporter {exporter!r}")
    is_named = "OTEL_SERVICE_NAME" in os.environ
    named = {"service.version": __version__} | ({} if is_named else {SERVICE_NAME: "corvo-server"})
    provider = TracerProvider(resource=Resource.create(named))
    (exporter_type, *_) = [point.load() for point in found]
    provider.add_span_processor(BatchSpanProcessor(exporter_type()))
    return provider
