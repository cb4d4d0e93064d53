"""`corvo schedules` and its subcommands."""

from typing import TYPE_CHECKING, Unpack

import click

import corvo_client
from corvo_cli.command import Command, Group
from corvo_cli.option_groups import job_options
from corvo_cli.parameters import QUEUE, Choice, NumberType
from corvo_cli.payload import read_payload
from corvo_cli.schema_check import warn_of_differences
from corvo_cli.session import Session, pass_session
from corvo_cli.show.schedule_view import schedule_view, schedules_view

if TYPE_CHECKING:
    from corvo_client import Schedule, ScheduleOptions
    from corvo_client.calls import Exact

_EXAMPLES = """
    corvo schedules                                                   list the schedules
    corvo schedules set nightly --queue reports --cron '0 2 * * *' --timezone Europe/Berlin
    corvo schedules set ping --queue checks --cron '*/5 * * * *' '{"url": "https://example.com"}'
    corvo schedules show nightly --upcoming 10
    corvo schedules run nightly
"""


@click.group(cls=Group, examples=_EXAMPLES, invoke_without_command=True)
@pass_session
def schedules(session: Session) -> None:
    """Manage schedules that enqueue jobs.

    Without a command, lists the schedules. NAME is the name or the id of a schedule.
    """
    if click.get_current_context().invoked_subcommand is None:
        _list(session)


@schedules.command("list", cls=Command, examples="corvo schedules list --output json")
@pass_session
def list_schedules(session: Session) -> None:
    """List the schedules."""
    _list(session)


@schedules.command(cls=Command, examples="corvo schedules show nightly --upcoming 10")
@click.argument("name")
@click.option(
    "--upcoming",
    type=NumberType(0, 100),
    metavar="N",
    help="The number of upcoming occurrences to show.  [default: 5]",
)
@pass_session
def show(session: Session, name: str, upcoming: int | None) -> None:
    """Show a schedule and its upcoming occurrences."""
    _show(session, session.ask(corvo_client.calls.get_schedule(name, upcoming)))


@schedules.command(
    "set",
    cls=Command,
    examples="""
    corvo schedules set nightly --queue reports --cron '0 2 * * *' --timezone Europe/Berlin
    corvo schedules set friday --queue mail --cron '0 17 * * fri' @digest.json --misfire skip
    """,
)
@click.argument("name")
@click.argument("payload", default="{}")
@click.option("--queue", type=QUEUE, required=True, metavar="QUEUE", help="The queue of its jobs.")
@click.option(
    "--cron",
    required=True,
    metavar="CRON",
    help="The cron expression: minute, hour, day, month, weekday; or e.g. @daily.",
)
@click.option(
    "--timezone",
    metavar="ZONE",
    help="The time zone of the cron expression, e.g. Europe/Berlin.  [default: UTC]",
)
@click.option(
    "--misfire",
    type=Choice(["run_once", "skip"]),
    help="The action after occurrences passed while no server ran.  [default: run_once]",
)
@click.option(
    "--unique-key",
    metavar="KEY",
    help="Enqueue no job while an unfinished job of the queue has this key.",
)
@click.option(
    "--concurrency-key",
    metavar="KEY",
    help="A key that `corvo concurrency --per-key` limits, e.g. a tenant.",
)
@job_options
@pass_session
def put(
    session: Session,
    /,
    *,
    name: str,
    payload: str,
    queue: str,
    cron: str,
    **options: "Unpack[ScheduleOptions]",
) -> None:
    """Create a schedule, or replace the schedule of this name.

    An option that is not given gets its default, also when the schedule exists: that of the queue
    at the time of each job, if it has one. PAYLOAD is JSON: a literal, @FILE, or - for stdin. The
    default is {}. A queue that does not exist, or a payload that does not match the schema of its
    worker, gives a warning.

    A wildcard or a step in the minute or hour makes an interval. It runs by elapsed time, also in
    an hour that a clock change repeats. Fixed times run once: a time that a clock change skips runs
    right after the gap, a time that repeats runs the first time.
    """
    document = read_payload(payload)
    request = corvo_client.calls.schedule_request(
        name,
        queue=queue,
        cron=cron,
        payload=document,
        options=options,
    )
    reply = session.ask(corvo_client.calls.put_schedule(request))
    for warning in reply.value.warnings:
        session.output.say(f"Warning: {warning}")
    warn_of_differences(session, queue, document)
    _show(session, reply)


@schedules.command(cls=Command, examples="corvo schedules pause nightly")
@click.argument("name")
@pass_session
def pause(session: Session, name: str) -> None:
    """Pause a schedule. Its occurrences enqueue no jobs."""
    reply = session.ask(corvo_client.calls.pause_schedule(name))
    session.output.done(reply.body, f"{name} is paused.")


@schedules.command(cls=Command, examples="corvo schedules resume nightly")
@click.argument("name")
@pass_session
def resume(session: Session, name: str) -> None:
    """Resume a paused schedule."""
    reply = session.ask(corvo_client.calls.resume_schedule(name))
    session.output.done(reply.body, f"{name} is resumed.")


@schedules.command(cls=Command, examples="corvo schedules run nightly")
@click.argument("name")
@pass_session
def run(session: Session, name: str) -> None:
    """Enqueue a job of a schedule now.

    The upcoming occurrences do not change. Prints the id of the job.
    """
    reply = session.ask(corvo_client.calls.run_schedule(name))
    if reply.value.job_id is not None and not session.output.is_json:
        session.output.lines([reply.value.job_id])
    is_new = reply.value.status != "duplicate"
    session.output.done(
        reply.body,
        f"enqueued by {name}" if is_new else "not enqueued: a job already has its unique key",
    )


@schedules.command(cls=Command, examples="corvo schedules delete nightly")
@click.argument("name")
@pass_session
def delete(session: Session, name: str) -> None:
    """Delete a schedule. Jobs that it has enqueued stay."""
    reply = session.ask(corvo_client.calls.delete_schedule(name))
    session.output.done(reply.body, f"{name} is deleted.")


def _list(session: Session) -> None:
    reply = session.ask(corvo_client.calls.list_schedules())
    if not (reply.value or session.output.is_json):
        session.output.say("There are no schedules. Create one with `corvo schedules set`.")
        return
    session.output.many(reply.body, lambda: schedules_view(reply.value, session.now()))


def _show(session: Session, reply: "Exact[Schedule]") -> None:
    session.output.one(reply.body, lambda: schedule_view(reply.value, reply.body, session.now()))
