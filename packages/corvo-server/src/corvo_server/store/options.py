"""Options of jobs as the store keeps them: the defaults of a queue, and those of a schedule."""

from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct, json

from corvo_schema.states import Backoff, Priority
from corvo_server.store.records import NewJob

T = TypeVar("T", bound="JobOptions")


class JobOptions(Struct, frozen=True, omit_defaults=True):
    """Options of a job; None is left out. Durations are in ms, `tags` is never changed.

    The names are those of `corvo_schema.OPTION_NAMES`. The JSON of this struct is stored, so fields
    may be added but not renamed.
    """

    priority: Priority | None = None
    max_retries: int | None = None
    retry_backoff: Backoff | None = None
    retry_base_delay: int | None = None
    retry_max_delay: int | None = None
    unique_period: int | None = None
    expire_after: int | None = None
    tags: dict[str, str] | None = None


class ScheduleOptions(JobOptions, frozen=True, omit_defaults=True):
    """Options of the jobs of a schedule."""

    concurrency_key: str | None = None


def write_options(options: JobOptions) -> str:
    """Return options as the JSON text that is stored."""
    return json.encode(options).decode()


def read_options(text: str, kind: type[T]) -> T:
    """Return the options of a stored text. Options of a newer server are ignored."""
    return json.decode(text, type=kind)


def fill(job: NewJob, options: JobOptions, names: Iterable[str]) -> None:
    """Give a job those of the options `names` that are not None."""
    for name in names:
        value = getattr(options, name)
        if value is None:
            continue
        if name == "expire_after":
            job.expire_at = job.created_at + value
        elif name == "tags":
            job.tags = json.encode(value).decode() if value else None
        else:
            setattr(job, name.removeprefix("retry_"), value)
