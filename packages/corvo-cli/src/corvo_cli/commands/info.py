"""`corvo info`."""

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.session import Session, pass_session
from corvo_cli.show.views import Cell, Fields


@click.command(cls=Command, examples="corvo info -o json | jq -r .server_version")
@pass_session
def info(session: Session) -> None:
    """Show the server's version."""
    reply = session.ask(corvo_client.calls.info())
    fields = Fields(
        [
            ("server", Cell(session.client.base_url)),
            ("version", Cell(reply.value.server_version)),
            ("api", Cell(reply.value.api_version)),
        ]
    )
    session.output.one(reply.body, lambda: [fields])
