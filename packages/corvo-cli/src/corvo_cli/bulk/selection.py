"""Select the jobs of a bulk command: by ids, by filters, or from stdin."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from corvo_cli.bulk.piped import read_ids
from corvo_cli.filters import format_filters, take_filters
from corvo_cli.human import count
from corvo_cli.session import Session
from corvo_cli.texts import read_stdin

if TYPE_CHECKING:
    from corvo_client import SearchFilters


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected jobs, by ids or by filters. Empty filters select every job."""

    job_ids: Sequence[str] | None = None
    filters: "SearchFilters | None" = None

    def __str__(self) -> str:
        """Describe the selection for the confirmation, such as `that match queue=emails`."""
        if self.job_ids is not None:
            return "by id"
        return (
            f"that match {format_filters(self.filters)}" if self.filters else "without any filter"
        )


def select(session: Session, job_ids: Sequence[str], options: dict[str, Any]) -> Selection:
    """Return the selection. Remove the filters from `options`.

    Stdin is read only if the command line has neither ids nor filters. Raises `click.UsageError`
    if there is no selection, or both ids and filters.
    """
    filters = take_filters(options)
    if job_ids and filters is not None:
        raise click.UsageError("Give either job ids or filters, not both.")
    if job_ids:
        return Selection(job_ids=list(dict.fromkeys(job_ids)))
    if filters is not None:
        return Selection(filters=filters)
    if sys.stdin.isatty():
        raise click.UsageError(
            "No jobs are selected. Give job ids or filters, or pipe in `corvo search --ids`."
        )
    piped = read_ids(read_stdin())
    if piped.has_more:
        found = count(len(piped.job_ids), "job")
        session.output.say(
            f"Stdin has one page with {found}, and the search has more. Use `corvo search --all` "
            "for all of them."
        )
    return Selection(job_ids=piped.job_ids)
