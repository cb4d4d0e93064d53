"""Select the jobs of a bulk command: by ids, by filters, or from stdin."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

import corvo_client
from corvo_cli.bulk.actions import Action
from corvo_cli.bulk.piped import read_ids
from corvo_cli.exits import ExitCode, Failure
from corvo_cli.filters import format_filters, take_filters
from corvo_cli.human import count
from corvo_cli.queue_names import unknown_queue
from corvo_cli.session import Session
from corvo_cli.texts import read_stdin

if TYPE_CHECKING:
    from corvo_schema import SearchFilter


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected jobs, by ids or by filters. Empty filters select every job.

    Of jobs by id, the action takes only those in one of `states`. None takes any state.
    """

    job_ids: Sequence[str] | None = None
    filters: "SearchFilter | None" = None
    states: Sequence[str] | None = None

    def __str__(self) -> str:
        """Describe the selection for the confirmation, such as `that match queue=emails`."""
        if self.job_ids is not None:
            return "by id"
        text = "" if self.filters is None else format_filters(self.filters)
        return f"that match {text}" if text else "without any filter"


def select(
    session: Session, action: Action, job_ids: Sequence[str], options: dict[str, Any]
) -> Selection:
    """Return the selection for an action. Remove the filters from `options`.

    Stdin is read only if the command line has neither ids nor filters. Raises `click.UsageError`
    if there is no selection, or both ids and filters other than states.
    """
    filters = take_filters(options)
    if job_ids:
        given = set() if filters is None else filters.model_fields_set
        if given - {"state"}:
            raise click.UsageError("Give either job ids or filters, not both.")
        taken = filters.state if filters is not None and given else action.default
        return Selection(list(dict.fromkeys(job_ids)), states=[*taken] or None)
    if filters is not None:
        if action.default and not filters.state:
            states = [corvo_client.JobState(name) for name in action.default]
            filters = filters.model_copy(update={"state": states})
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
    return Selection(job_ids=piped.job_ids, states=[*action.default] or None)


def check_queue(session: Session, selection: Selection) -> None:
    """Raise `Failure` if the filters name a queue that does not exist."""
    unknown = unknown_queue(session, selection.filters)
    if unknown is not None:
        raise Failure(f"{unknown} Nothing was changed.", ExitCode.NOT_FOUND)
