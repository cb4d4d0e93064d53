"""`corvo inspect`."""

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.session import Session, pass_session
from corvo_cli.show.job_view import job_view


@click.command(
    cls=Command,
    examples="""
    corvo inspect job_01JD3Z9W6V7Q5X8M2N4P6R8T0B
    corvo inspect job_01JD3Z9W6V7Q5X8M2N4P6R8T0B -o json | jq .payload
    """,
)
@click.argument("job_id")
@pass_session
def inspect(session: Session, job_id: str) -> None:
    """Show all details of a job.

    Shows its state and settings, payload, checkpoint, result, errors and events.
    """
    reply = session.ask(corvo_client.calls.get_job(job_id))
    session.output.one(reply.body, lambda: job_view(reply.value, reply.body, session.now()))
