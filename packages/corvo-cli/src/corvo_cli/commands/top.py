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
    help="How often to look.",
)
@pass_session
def top(session: Session, interval: float) -> None:
    """Watch a server live.

    Queues with their flow, workers, and events as they come. Keys: 1 2 3 for the panes, s for the
    order of the queues, p to pause or resume the queue under the cursor, f to freeze the picture,
    q to quit.
    """
    if not session.output.has_screen:
        raise click.UsageError(
            "The live view needs a terminal. For scripts there is `corvo status --output json`."
        )
    if interval < 0.1:
        raise click.UsageError("--interval must be at least 100ms.")
    session.ask(corvo_client.calls.info())
    asyncio.run(_watch(session, interval))


async def _watch(session: Session, interval: float) -> None:
    from corvo_cli.top.app import Top  # noqa: PLC0415 - textual is slow to load

    async with session.async_client() as client:
        await Top(client, interval, session.now).run_async()
