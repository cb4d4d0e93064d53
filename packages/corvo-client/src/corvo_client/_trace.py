"""The current span of OpenTelemetry, which a job stores when it is enqueued."""

import sys
from typing import Any


def current_traceparent() -> str | None:
    """Return the current span as a W3C `traceparent` header, or None without a span.

    OpenTelemetry is used only if the program has imported it: importing it here would be slow.
    """
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags & 0xFF:02x}"
