"""`corvo workers`."""

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.session import Session, pass_session
from corvo_cli.show.worker_view import workers_view


@click.command(
    cls=Command,
    examples="""
    corvo workers
    corvo workers -o jsonl | jq -r 'select(.status != "ok").id'
    """,
)
@pass_session
def workers(session: Session) -> None:
    """List the workers.

    Lists the workers that called a server of the cluster within the last hour, and those with
    active jobs. A worker is `silent` if it has not called for two minutes. It is `not_fetching` if
    it sends heartbeats but has not fetched for five minutes.
    """
    reply = session.ask(corvo_client.calls.list_workers())
    if not (reply.value or session.output.is_json):
        session.output.say("There are no workers. Start one with `corvo worker MODULE:WORKER`.")
        return
    session.output.many(reply.body, lambda: workers_view(reply.value, session.now()))
