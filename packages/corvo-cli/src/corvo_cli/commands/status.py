"""`corvo status`."""

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.session import Session, pass_session
from corvo_cli.show.status_view import Summary, status_view


@click.command(
    cls=Command,
    examples="""
    corvo status
    corvo status -o json | jq '[.queues[].pending] | add'
    """,
)
@pass_session
def status(session: Session) -> None:
    """Show a summary of the server and its queues.

    The JSON formats print an object with the server's replies: `info`, `cluster`, `queues` and
    `workers`.
    """
    calls = corvo_client.calls
    info = session.ask(calls.info())
    cluster = session.ask(calls.cluster_status())
    queues = session.ask(calls.list_queues())
    workers = session.ask(calls.list_workers())
    body = b'{"info":%b,"cluster":%b,"queues":%b,"workers":%b}' % (
        info.body,
        cluster.body,
        queues.body,
        workers.body,
    )
    summary = Summary(
        url=session.client.base_url,
        info=info.value,
        cluster=cluster.value,
        queues=queues.value,
        workers=workers.value,
    )
    session.output.one(body, lambda: status_view(summary, session.now()))
