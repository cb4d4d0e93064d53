"""What front-ends answer while the writer is gone."""

from corvo_schema.errors import ErrorCode
from corvo_server.engine.errors import CallError

_RETRY_AFTER = 1
"""Seconds."""


def writer_gone() -> CallError:
    """A refusal, and so a promise: nothing was done."""
    return CallError(
        ErrorCode.UNAVAILABLE,
        "The writing process is being started again. Nothing was done; try again shortly.",
        retry_after=_RETRY_AFTER,
    )
