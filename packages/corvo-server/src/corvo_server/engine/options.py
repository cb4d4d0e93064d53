"""Options of jobs: which ones a request gives, and which ones the defaults of a queue decide."""

from typing import TypeVar

from corvo_schema.options import OPTION_NAMES, JobOptions
from corvo_server.store import options as stored

T = TypeVar("T", bound=stored.JobOptions)


def options_of(request: JobOptions) -> stored.JobOptions:
    """Return the options that a request gives."""
    return stored.JobOptions(
        priority=request.priority,
        max_retries=request.max_retries,
        retry_backoff=request.retry_backoff,
        retry_base_delay=request.retry_base_delay,
        retry_max_delay=request.retry_max_delay,
        unique_period=request.unique_period,
        expire_after=request.expire_after,
        tags=request.tags,
    )


def names_left_out(options: stored.JobOptions) -> list[str]:
    """Return the names of the options that are not given."""
    return [name for name in OPTION_NAMES if getattr(options, name) is None]
