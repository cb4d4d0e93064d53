"""Which jobs a bulk command is about: named, matched by filters, or piped in."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from corvo_cli.bulk.piped import read_ids
from corvo_cli.filters import described, take_filters
from corvo_cli.human import count
from corvo_cli.session import Session
from corvo_cli.texts import read_stdin

if TYPE_CHECKING:
    from corvo_client import SearchFilters


@dataclass(frozen=True, slots=True)
class Selection:
    """Either ids or filters; filters that are empty match every job."""

    job_ids: Sequence[str] | None = None
    filters: "SearchFilters | None" = None

    def __str__(self) -> str:
        """Describe it for a question: `that match queue=emails`."""
        if self.job_ids is not None:
            return "that are named"
        return f"that match {described(self.filters)}" if self.filters else "that there are"


def select(session: Session, job_ids: Sequence[str], options: dict[str, Any]) -> Selection:
    """Decide which jobs are meant; takes the filters out of `options`.

    Stdin is read only when nothing is said on the command line. Raises `click.UsageError` when
    there is nothing to go by, or two things.
    """
    filters = take_filters(options)
    if job_ids and filters is not None:
        raise click.UsageError("Give either ids or filters.")
    if job_ids:
        return Selection(job_ids=list(dict.fromkeys(job_ids)))
    if filters is not None:
        return Selection(filters=filters)
    if sys.stdin.isatty():
        raise click.UsageError(
            "Say which jobs: by id, by filters, or by piping in `corvo search --ids`."
        )
    piped = read_ids(read_stdin())
    if piped.has_more:
        found = count(len(piped.job_ids), "job")
        session.output.say(
            f"Only the {found} of this page: the search has more, and gives them with --all."
        )
    return Selection(job_ids=piped.job_ids)
