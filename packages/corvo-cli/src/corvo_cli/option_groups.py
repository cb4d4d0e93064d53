"""Options that several commands share: those of the jobs of a schedule or a queue."""

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

import click

from corvo_cli.parameters import BACKOFF, PRIORITY, SPAN, TAG, NumberType, tags_of

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--priority", type=PRIORITY, help="The priority of its jobs.  [default: normal]"),
    click.option(
        "--max-retries",
        type=NumberType(min=0),
        metavar="N",
        help="The number of attempts of each job, including the first.  [default: 3]",
    ),
    click.option(
        "--retry-backoff",
        type=BACKOFF,
        help="How the delay grows from attempt to attempt.  [default: exponential]",
    ),
    click.option(
        "--retry-base-delay",
        type=SPAN,
        metavar="DURATION",
        help="The delay before the second attempt.  [default: 5s]",
    ),
    click.option(
        "--retry-max-delay",
        type=SPAN,
        metavar="DURATION",
        help="The maximum delay between attempts.  [default: 10m]",
    ),
    click.option(
        "--unique-period",
        type=SPAN,
        metavar="DURATION",
        help="The maximum time for which a job keeps its unique key.  [default: 1h]",
    ),
    click.option(
        "--expire-after",
        type=SPAN,
        metavar="DURATION",
        help="A job becomes dead if it has not finished within this time.",
    ),
    click.option(
        "--tag",
        "tags",
        type=TAG,
        multiple=True,
        callback=tags_of,
        metavar="KEY=VALUE",
        help="Add a tag to its jobs. Repeat the option for several tags.",
    ),
)


def job_options(function: F) -> F:
    """Add the options for which a queue can have defaults to a command."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), function)
