"""`corvo bulk` and its subcommands."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

import corvo_client
from corvo_cli.bulk import actions, preview
from corvo_cli.bulk.actions import Action
from corvo_cli.bulk.following import follow
from corvo_cli.bulk.selection import select
from corvo_cli.bulk.work import act
from corvo_cli.command import Command, Group
from corvo_cli.filters import filter_options
from corvo_cli.human import age, moment
from corvo_cli.parameters import PRIORITY, QUEUE
from corvo_cli.session import Session, pass_session
from corvo_cli.show.views import Cell, Column, Fields, Table, View, state

if TYPE_CHECKING:
    from corvo_schema import BulkOperation

F = TypeVar("F", bound=Callable[..., Any])

_EXAMPLES = """
    corvo bulk retry --queue emails --state dead --dry-run
    corvo bulk retry --queue emails --error-contains timeout
    corvo search --tag tenant=acme --all --output jsonl | corvo bulk move slow
    corvo bulk delete --filter '{"state": ["completed"]}' --background
    corvo bulk cancel job_01JD3Z9W6V7Q5X8M2N4P6R8T0B job_01JD3Z9W6V7Q5X8M2N4P6R8T0C
"""


@click.group(cls=Group, examples=_EXAMPLES)
def bulk() -> None:
    """Apply one action to many jobs.

    Select the jobs by their ids, by filters (a job must match all of them), or by piping in ids
    or the output of `corvo search`. The action skips jobs whose state does not allow it, and jobs
    that are enqueued after its start.

    On a terminal, an action on filters asks for confirmation first. If filters match more than
    10,000 jobs, the operation runs in the background of the server; a bar shows its progress.
    """


def _selection_options(function: F) -> F:
    """Add the options that select jobs and control how the action runs."""
    options = [
        click.argument("job_ids", metavar="[JOB_ID]...", nargs=-1),
        filter_options,
        click.option("--dry-run", is_flag=True, help="Show the effect without changing a job."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation."),
        click.option(
            "--background",
            is_flag=True,
            help="Run in the background of the server, and print the id of the operation.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@bulk.command(cls=Command, examples="corvo bulk retry --queue emails --state dead")
@_selection_options
@pass_session
def retry(session: Session, /, **options: Any) -> None:
    """Retry dead and cancelled jobs, with all their attempts.

    Completed jobs are retried only with --state completed.
    """
    _run(session, actions.RETRY, options)


@bulk.command(cls=Command, examples="corvo bulk requeue --queue emails --error-contains timeout")
@_selection_options
@pass_session
def requeue(session: Session, /, **options: Any) -> None:
    """Give dead jobs one more attempt each."""
    _run(session, actions.REQUEUE, options)


@bulk.command(cls=Command, examples="corvo bulk cancel --tag campaign=spring")
@_selection_options
@pass_session
def cancel(session: Session, /, **options: Any) -> None:
    """Cancel jobs that have not ended."""
    _run(session, actions.CANCEL, options)


@bulk.command(cls=Command, examples="corvo bulk move emails.slow --queue emails --state pending")
@click.argument("move_to_queue", type=QUEUE, metavar="QUEUE")
@_selection_options
@pass_session
def move(session: Session, /, *, move_to_queue: str, **options: Any) -> None:
    """Move jobs to another queue."""
    _run(session, actions.MOVE, options, move_to_queue=move_to_queue)


@bulk.command(cls=Command, examples="corvo bulk priority high --tag tenant=acme")
@click.argument("new_priority", type=PRIORITY, metavar="PRIORITY")
@_selection_options
@pass_session
def priority(session: Session, /, *, new_priority: str, **options: Any) -> None:
    """Change the priority of waiting jobs."""
    _run(session, actions.PRIORITY, options, priority=new_priority)


@bulk.command(cls=Command, examples="corvo bulk delete --state completed --completed-before 7d")
@_selection_options
@pass_session
def delete(session: Session, /, **options: Any) -> None:
    """Delete jobs permanently."""
    _run(session, actions.DELETE, options)


@bulk.command(cls=Command, examples="corvo bulk status bulk_01JD3Z9W6V7Q5X8M2N4P6R8T0B --follow")
@click.argument("bulk_id")
@click.option(
    "-f",
    "--follow",
    "is_followed",
    is_flag=True,
    help="Wait until it has ended, and show its progress.",
)
@pass_session
def status(session: Session, bulk_id: str, is_followed: bool) -> None:
    """Show the progress of a background operation."""
    if is_followed:
        ended = follow(session, bulk_id)
        session.output.one(ended.body, lambda: _view(ended.value, session.now()))
        ended.check()
        return
    reply = session.ask(corvo_client.calls.get_bulk(bulk_id))
    session.output.one(reply.body, lambda: _view(reply.value, session.now()))


@bulk.command("list", cls=Command, examples="corvo bulk list --output jsonl | jq -r .id")
@pass_session
def list_operations(session: Session) -> None:
    """List the last 100 background operations."""
    reply = session.ask(corvo_client.calls.list_bulk())
    if not (reply.value or session.output.is_json):
        session.output.say("There are no bulk operations.")
        return
    session.output.many(reply.body, lambda: [_table(reply.value, session.now())])


@bulk.command(cls=Command, examples="corvo bulk stop bulk_01JD3Z9W6V7Q5X8M2N4P6R8T0B")
@click.argument("bulk_id")
@pass_session
def stop(session: Session, bulk_id: str) -> None:
    """Stop a background operation. Jobs that it has already changed stay changed."""
    reply = session.ask(corvo_client.calls.cancel_bulk(bulk_id))
    done = f"{bulk_id} is {reply.value.status} after {reply.value.affected:,} jobs."
    session.output.done(reply.body, done)


def _run(session: Session, action: Action, options: dict[str, Any], **more: Any) -> None:
    is_dry = options.pop("dry_run")
    is_sure = options.pop("yes")
    in_background = options.pop("background")
    job_ids: Sequence[str] = options.pop("job_ids")
    selection = select(session, action, job_ids, options)
    if is_dry:
        preview.show(session, action, selection)
        return
    if selection.job_ids is None and session.output.can_ask and not is_sure:
        preview.confirm(session, action, selection)
    act(session, action, selection, wait=not in_background, **more)


def _view(operation: "BulkOperation", now: datetime) -> View:
    return [
        Fields(
            [
                ("id", Cell(operation.id)),
                ("action", Cell(operation.action)),
                ("status", state(operation.status)),
                ("processed", Cell(f"{operation.processed:,} of {operation.total:,}")),
                ("affected", Cell(f"{operation.affected:,}")),
                ("skipped", Cell(f"{operation.errors:,}")),
                ("error", Cell(operation.error, "error")),
                ("created", Cell(moment(operation.created_at, now))),
                ("finished", Cell(moment(operation.finished_at, now))),
            ]
        )
    ]


def _table(operations: "Sequence[BulkOperation]", now: datetime) -> Table:
    columns = [
        Column("OPERATION"),
        Column("ACTION"),
        Column("STATUS"),
        Column("PROCESSED", is_number=True),
        Column("TOTAL", is_number=True),
        Column("AFFECTED", is_number=True),
        Column("CREATED"),
    ]
    rows = [
        (
            Cell(operation.id),
            Cell(operation.action),
            state(operation.status),
            Cell(f"{operation.processed:,}"),
            Cell(f"{operation.total:,}"),
            Cell(f"{operation.affected:,}"),
            Cell(age(operation.created_at, now)),
        )
        for operation in operations
    ]
    return Table(columns, rows)
