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
    """List the nodes of the cluster.

    Shows the role and the load of each server on the database. The `leader` runs schedules,
    retries and bulk operations. Another node becomes leader if it stops. A node is `silent` if it
    has not reported for five seconds.
    """
    reply = session.ask(corvo_client.calls.cluster_status())
    session.output.one(reply.body, lambda: [nodes_table(reply.value, session.now())])
