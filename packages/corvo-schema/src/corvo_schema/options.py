"""Options of jobs that may be left out: those of an enqueue, of a schedule and of a queue."""

from dataclasses import dataclass

from pydantic import Field

from corvo_schema._base import RequestModel
from corvo_schema.durations import Duration, PositiveSeconds
from corvo_schema.fields import BackoffName, MaxRetries, PriorityName, Tags
from corvo_schema.states import Backoff, Priority


class JobOptions(RequestModel):
    """Options of a job. One that is absent or null has the default of the queue.

    If the queue has none either, the option has the default that its description names.
    """

    priority: PriorityName | None = Field(
        None, description="Higher priorities are fetched first. Default: normal."
    )
    max_retries: MaxRetries | None = Field(
        None,
        description="Maximum number of attempts, including the first; 0 means 1. Default: 3.",
    )
    retry_backoff: BackoffName | None = Field(
        None, description="Growth of the delay from attempt to attempt. Default: exponential."
    )
    retry_base_delay: Duration | None = Field(
        None, description="Delay after the first failed attempt. Default: 5s."
    )
    retry_max_delay: Duration | None = Field(
        None, description="Maximum delay between two attempts, before jitter. Default: 10m."
    )
    unique_period: PositiveSeconds | None = Field(
        None,
        description="Maximum time for which the job holds its unique key: seconds or a duration, "
        "at least 1 ms. Default: 1h.",
    )
    expire_after: Duration | None = Field(
        None,
        description="Time within which the job must finish. After it, the job is dead with the "
        "error `expired`. Default: no limit.",
    )
    tags: Tags | None = Field(
        None, description="Tags of the job, instead of those of the queue. Default: none."
    )


OPTION_NAMES: tuple[str, ...] = tuple(JobOptions.model_fields)
"""The options for which a queue can have a default."""


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The defaults of options that neither a request nor a queue gives. Durations are in ms."""

    priority: Priority = Priority.NORMAL
    max_retries: int = 3
    retry_backoff: Backoff = Backoff.EXPONENTIAL
    retry_base_delay: int = 5_000
    retry_max_delay: int = 600_000
    unique_period: int = 3_600_000


BUILT_IN = BuiltIn()
