"""`corvo top`."""

import asyncio

import click

import corvo_client
from corvo_cli.command import Command
from corvo_cli.parameters import DURATION
from corvo_cli.session import Session, pass_session


@click.command(cls=Command, examples="corvo top --interval 1s")
@click.option(
    "--interval",
    type=DURATION,
    default="2s",
    show_default=True,
    metavar="DURATION",
    help="The time between two polls of the server, at least 100ms.",
)
@pass_session
def top(session: Session, interval: float) -> None:
    """Show a live view of a server.

    Shows queues with their rates, workers, events as they happen, and jobs of the queue under the
    cursor. Keys: 1 to 4 select a pane, Enter shows the jobs of the queue, s changes the sort order,
    p pauses or resumes the queue after a question, f freezes the view, q quits.
    """
    if not session.output.has_screen:
        raise click.UsageError(
            "The live view needs a terminal. In scripts, use `corvo status --output json`."
        )
    if interval < 0.1:
        raise click.UsageError(f"--interval is {interval * 1000:g}ms; it must be at least 100ms.")
    session.ask(corvo_client.calls.info())
    asyncio.run(_watch(session, interval))


async def _watch(session: Session, interval: float) -> None:
    from corvo_cli.top.app import Top  # noqa: PLC0415 - textual is slow to load

    async with session.async_client() as client:
        await Top(client, interval, session.now).run_async()
