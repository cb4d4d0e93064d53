"""`corvo queues`."""

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.parameters import QUEUE
from corvo_cli.session import Session, pass_session
from corvo_cli.show.queue_view import queue_view, queues_view


@click.command(
    cls=Command,
    examples="""
    corvo queues
    corvo queues emails
    corvo queues -o json | jq -r '.[] | select(.dead > 0).name'
    """,
)
@click.argument("queue", type=QUEUE, required=False)
@pass_session
def queues(session: Session, queue: str | None) -> None:
    """List the queues, or show one queue.

    Shows the status, the limits, the number of jobs in each state, and the waiting time of the
    oldest pending job.
    """
    output = session.output
    if queue is not None:
        one = session.ask(corvo_client.calls.get_queue(queue))
        output.one(one.body, lambda: queue_view(one.value, session.now()))
        return
    reply = session.ask(corvo_client.calls.list_queues())
    if not (reply.value or output.is_json):
        output.say("There are no queues. The first job of a queue creates it.")
        return
    output.many(reply.body, lambda: queues_view(reply.value))
