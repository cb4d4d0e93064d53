"""The span in which a job is enqueued, if the program is traced by OpenTelemetry."""

import sys
from typing import Any


def current_traceparent() -> str | None:
    """Return the current span as the header `traceparent` of W3C Trace Context has it; else None.

    OpenTelemetry is asked only where the program has loaded it: nobody else pays for it.
    """
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags & 0xFF:02x}"
