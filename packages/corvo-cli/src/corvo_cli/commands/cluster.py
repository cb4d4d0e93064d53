"""`corvo cluster`."""

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.session import Session, pass_session
from corvo_cli.show.cluster_view import nodes_table


@click.command(
    cls=Command,
    examples="""
    corvo cluster
    corvo cluster -o json | jq -r '.nodes[] | select(.role == "leader").address'
    """,
)
@pass_session
def cluster(session: Session) -> None:
    """List the servers of one database.

    And how busy each is. The `leader` is the one that runs schedules, retries and bulk operations;
    any other takes over when it is gone. `silent` is one that has not reported for five seconds.
    """
    reply = session.ask(corvo_client.calls.cluster_status())
    session.output.one(reply.body, lambda: [nodes_table(reply.value, session.now())])
